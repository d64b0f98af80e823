use std::path::Path;

use rootling_config::container::Container;
use serde_json::{Value, json};

use super::*;

fn lowered(change: impl FnOnce(&mut Value)) -> Rc<Spec> {
    let mut spec = json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "web",
        "process": {"cwd": "/srv", "args": ["sh"], "user": {"uid": 0, "gid": 0}, "noNewPrivileges": true,
                    "capabilities": {"bounding": ["CAP_KILL"]}},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [{"type": "pid"}, {"type": "user"}, {"type": "mount"}, {"type": "uts"}],
                  "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
                  "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}]},
    });
    change(&mut spec);
    let mut container = Container::parse(serde_json::from_value(spec).unwrap()).unwrap();
    for_libcontainer(&mut container, None).unwrap()
}

#[test]
fn libcontainer_gets_nothing_of_the_program_and_namespaces_that_are_entered() {
    let spec = lowered(|_| ());
    let process = spec.process().as_ref().unwrap();
    assert_eq!((process.user().uid(), process.no_new_privileges(), process.capabilities()), (0, None, &None));
    assert!(process.env().as_ref().unwrap().iter().any(|e| e.starts_with("HOME=")));
    let linux = spec.linux().as_ref().unwrap();
    let namespaces = linux.namespaces().as_ref().unwrap();
    let entered: Vec<_> = namespaces.iter().map(|n| (n.typ(), n.path().as_deref())).collect();
    let path = |path| Some(Path::new(path));
    assert_eq!(entered, [(LinuxNamespaceType::User, path("/proc/self/ns/user"))]);
    assert!(spec.mounts().is_none() && spec.hostname().is_none());
    assert!(linux.masked_paths().is_none() && linux.resources().is_none() && linux.uid_mappings().is_none());
    assert_eq!(spec.root().as_ref().unwrap().readonly(), Some(false));
}

#[test]
fn without_a_mount_namespace_libcontainer_enters_none() {
    let spec = lowered(|s| {
        s["linux"] = json!({"namespaces": [{"type": "pid"}, {"type": "uts"}]});
    });
    assert_eq!(spec.linux().as_ref().unwrap().namespaces(), &Some(Vec::new()));
}

#[test]
fn hooks_are_not_libcontainers() {
    let hook = json!([{"path": "/bin/true"}]);
    for moment in ["prestart", "createRuntime", "createContainer", "startContainer", "poststop"] {
        let spec = lowered(|s| s["hooks"] = json!({moment: hook}));
        assert!(spec.hooks().is_none(), "{moment}");
    }
}

#[test]
fn libcontainer_gets_sysctls_and_network_devices() {
    let spec = lowered(|s| {
        s["linux"]["namespaces"] = json!([{"type": "user"}, {"type": "network"}, {"type": "uts"}]);
        s["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
        s["linux"]["netDevices"] = json!({"eth0": {}});
    });
    let linux = spec.linux().as_ref().unwrap();
    assert_eq!(linux.sysctl().as_ref().unwrap()["net.ipv4.ip_forward"], "1");
    assert!(linux.net_devices().as_ref().unwrap().contains_key("eth0"));
    let spec = lowered(|_| ());
    let linux = spec.linux().as_ref().unwrap();
    assert!(linux.sysctl().is_none() && linux.net_devices().is_none());
}
