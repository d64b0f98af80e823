use super::*;
use crate::host::NodeKind;

fn with_device(device: &Value) -> Value {
    json!({"linux": {"namespaces": namespaces(&["mount", "user"]), "uidMappings": one_id(), "gidMappings": one_id(),
                     "devices": [device]}})
}

fn machine() -> Fixture {
    alice()
        .device("/dev/fuse", NodeKind::Char, 10, 229)
        .device("/dev/sda", NodeKind::Block, 8, 0)
        .device("/dev/kvm", NodeKind::Char, 10, 232)
        .closed("/dev/kvm")
        .program("/dev/file", 0o644)
        .directory("/dev/dri")
}

#[test]
fn a_device_of_the_host_is_kept_as_it_is() {
    for device in [
        json!({"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438}),
        json!({"path": "/dev/fuse", "type": "u", "major": 10, "minor": 229}),
        json!({"path": "/dev/sda", "type": "b", "major": 8, "minor": 0}),
        json!({"path": "/dev/dri", "type": "c", "major": 0, "minor": 0}),
    ] {
        let outcome = adapted(with_device(&device), machine());
        assert_eq!(outcome.json["linux"]["devices"][0]["path"], device["path"]);
        assert_eq!(outcome.changes, []);
    }
}

#[test]
fn a_device_that_cannot_be_bound_is_an_error() {
    for (device, words) in [
        (json!({"path": "/dev/none", "type": "c", "major": 1, "minor": 1}), "/dev/none: not on this host"),
        (
            json!({"path": "/dev/fuse", "type": "c", "major": 10, "minor": 200}),
            "/dev/fuse: is c 10:229 on this host, not c 10:200",
        ),
        (
            json!({"path": "/dev/fuse", "type": "b", "major": 10, "minor": 229}),
            "/dev/fuse: is c 10:229 on this host, not b",
        ),
        (
            json!({"path": "/dev/file", "type": "c", "major": 1, "minor": 1}),
            "/dev/file: is not a device on this host",
        ),
        (
            json!({"path": "/dev/kvm", "type": "c", "major": 10, "minor": 232}),
            "/dev/kvm: the caller may neither read nor write",
        ),
    ] {
        // A device that only others may write to is closed to this caller.
        let machine = machine().device("/dev/kvm", NodeKind::Char, 10, 232);
        let error = refused(with_device(&device), machine);
        assert!(error.starts_with(&format!("linux.devices[0]: {words}")), "{error}");
    }
}

#[test]
fn root_of_a_user_namespace_gets_closed_devices_with_one_warning() {
    let machine = || {
        let root = Fixture::root_in_user_namespace(1000).fs("/sys/fs/cgroup", CGROUP2);
        root.device("/dev/kvm", NodeKind::Char, 10, 232).closed("/dev/kvm")
    };
    let spec = with_device(&json!({"path": "/dev/kvm", "type": "c", "major": 10, "minor": 232}));
    let outcome = adapted(spec.clone(), machine());
    assert_eq!(outcome.json["linux"]["devices"][0]["path"], "/dev/kvm");
    let warnings = outcome.warnings();
    assert!(warnings[0].starts_with("linux.devices: the container cannot open /dev/kvm: "), "{warnings:?}");
    let Err(error) = try_adapt(spec, machine(), &strict()) else { panic!("adapted") };
    assert!(error.to_string().starts_with("linux.devices[0]: /dev/kvm: the caller may neither"), "{error}");
}

#[test]
fn root_of_the_host_creates_devices_itself() {
    let device = json!({"path": "/dev/none", "type": "c", "major": 1, "minor": 1});
    assert_eq!(adapted(with_device(&device), Fixture::ordinary(0)).changes, []);
}
