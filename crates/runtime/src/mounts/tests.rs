use oci_spec::runtime::Spec;
use rootling_config::container::Container;
use rootling_sys::mount::{MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE};
use serde_json::{Value, json};

use super::*;

fn placed(mount: Value) -> Result<Vec<MountPlan>> {
    let mut spec: Spec = serde_json::from_value(json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs"},
        "mounts": [],
        "linux": {"namespaces": [{"type": "mount"}, {"type": "cgroup"}]},
    }))
    .unwrap();
    spec.set_mounts(Some(vec![serde_json::from_value(mount).unwrap()]));
    let container = Container::parse(spec).unwrap();
    let places = (Path::new("/bundle"), Path::new("/bundle/rootfs"));
    place(container.mounts, places, &container.namespaces, false)
}

#[test]
fn dev_decides_who_fills_it() {
    assert_eq!(dev(&[], false), Dev::Plain { readonly: false });
    let with = |mount: Value| dev(&placed(mount).unwrap(), false);
    let tmpfs = json!({"destination": "/dev/", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]});
    assert_eq!(with(tmpfs), Dev::Fresh { readonly: true });
    let filled = json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]});
    assert_eq!(with(filled), Dev::Plain { readonly: false });
    let hooked = placed(json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs"})).unwrap();
    assert_eq!(dev(&hooked, true), Dev::Plain { readonly: false });
    let bind = json!({"destination": "//dev/.", "type": "bind", "source": "/dev", "options": ["rbind"]});
    assert_eq!(with(bind), Dev::Bound);
}

#[test]
fn relative_sources_start_at_the_bundle() {
    let mount = json!({"destination": "/data", "type": "bind", "source": "data", "options": ["bind"]});
    assert_eq!(placed(mount).unwrap()[0].kind, MountKind::Bind("/bundle/data".into()));
}

#[test]
fn nothing_may_stand_in_for_proc() {
    let refused = |mount: Value| placed(mount).unwrap_err().to_string();
    let over = json!({"destination": "/proc", "type": "tmpfs", "source": "tmpfs"});
    assert!(refused(over).contains("inside /proc"));
    let below =
        json!({"destination": "/x/../proc/self", "type": "bind", "source": "/tmp", "options": ["bind"]});
    assert!(refused(below).contains("mounts[0]"));
    let allowed =
        json!({"destination": "/proc/meminfo", "type": "bind", "source": "/tmp/m", "options": ["bind"]});
    placed(allowed).unwrap();
}

#[test]
fn nothing_is_mounted_on_the_root() {
    for destination in ["/", "//", "/.", "/bin/..", "/bundle/rootfs"] {
        let mount = json!({"destination": destination, "type": "tmpfs", "source": "tmpfs"});
        let error = placed(mount).unwrap_err().to_string();
        assert!(error.contains("container's root"), "{destination}: {error}");
    }
}

#[test]
fn base_is_the_least_that_what_is_asked_for_can_be_copied_from() {
    let asking = |option: &str| {
        placed(json!({"destination": "/a", "source": "/b", "options": ["rbind", option]})).unwrap()
    };
    let root = |flag, recursive| Some(Propagation { flag, recursive });
    for (option, wanted, base) in [
        ("ro", None, MS_PRIVATE),
        ("rslave", None, MS_SLAVE),
        ("rshared", root(MS_SHARED, false), MS_SHARED),
        ("ro", root(MS_SHARED, false), MS_PRIVATE),
        ("ro", root(MS_SHARED, true), MS_SHARED),
        ("rshared", root(MS_PRIVATE, true), MS_PRIVATE),
        ("ro", root(MS_SLAVE, true), MS_SLAVE),
        ("ro", root(MS_UNBINDABLE, false), MS_SLAVE),
    ] {
        assert_eq!(base_propagation(&mut asking(option), wanted), base, "{option} {wanted:?}");
    }
}
