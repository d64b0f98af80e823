use oci_spec::runtime::Spec;
use rootling_config::namespaces;
use serde_json::{Value, json};

use super::*;

fn lowered(change: impl FnOnce(&mut Value)) -> Result<Lowered> {
    let mut spec = json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "web",
        "process": {"cwd": "/srv", "args": ["sh"], "user": {"uid": 33, "gid": 33}, "noNewPrivileges": true,
                    "capabilities": {"bounding": ["CAP_KILL"]}},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {"namespaces": [{"type": "pid"}, {"type": "user"}, {"type": "mount"}, {"type": "uts"}],
                  "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}]},
    });
    change(&mut spec);
    let spec: Spec = serde_json::from_value(spec).unwrap();
    let namespaces = namespaces::set(&spec).unwrap();
    let hooked = sees_the_root(spec.hooks().as_ref());
    lower(spec, &namespaces, hooked, (Path::new("/bundle"), Path::new("/bundle/rootfs")))
}

#[test]
fn libcontainer_gets_nothing_of_the_program_and_namespaces_that_are_entered() {
    let lowered = lowered(|_| ()).unwrap();
    let process = lowered.spec.process().as_ref().unwrap();
    assert_eq!((process.user().uid(), process.no_new_privileges(), process.capabilities()), (0, None, &None));
    assert!(process.env().as_ref().unwrap().iter().any(|e| e.starts_with("HOME=")));
    let linux = lowered.spec.linux().as_ref().unwrap();
    let namespaces = linux.namespaces().as_ref().unwrap();
    let entered: Vec<_> = namespaces.iter().map(|n| (n.typ(), n.path().as_deref())).collect();
    let path = |path| Some(Path::new(path));
    let mount = (LinuxNamespaceType::Mount, path("/proc/self/ns/mnt"));
    assert_eq!(entered, [mount, (LinuxNamespaceType::User, path("/proc/self/ns/user"))]);
    assert!(lowered.spec.mounts().is_none() && lowered.spec.hostname().is_none());
    assert_eq!(lowered.names.0.as_deref(), Some("web"));
    assert_eq!(lowered.spec.root().as_ref().unwrap().readonly(), Some(false));
}

#[test]
fn dev_decides_who_fills_it() {
    assert_eq!(lowered(|_| ()).unwrap().dev, Dev::Plain { readonly: false });
    let with = |mount: Value| lowered(|s| s["mounts"] = json!([mount])).unwrap().dev;
    let tmpfs = json!({"destination": "/dev/", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]});
    assert_eq!(with(tmpfs), Dev::Fresh { readonly: true });
    let filled = json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]});
    assert_eq!(with(filled), Dev::Plain { readonly: false });
    let hooked = lowered(|s| {
        s["mounts"] = json!([{"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}]);
        s["hooks"] = json!({"createContainer": [{"path": "/bin/true"}]});
    });
    assert_eq!(hooked.unwrap().dev, Dev::Plain { readonly: false });
    let bind = json!({"destination": "//dev/.", "type": "bind", "source": "/dev", "options": ["rbind"]});
    assert_eq!(with(bind), Dev::Bound);
}

#[test]
fn relative_sources_start_at_the_bundle() {
    let mount = json!({"destination": "/data", "type": "bind", "source": "data", "options": ["bind"]});
    let lowered = lowered(|s| s["mounts"] = json!([mount])).unwrap();
    assert_eq!(lowered.mounts[0].kind, MountKind::Bind("/bundle/data".into()));
}

#[test]
fn nothing_may_stand_in_for_proc() {
    let refused = |mount: Value| lowered(|s| s["mounts"] = json!([mount])).err().unwrap().to_string();
    let over = json!({"destination": "/proc", "type": "tmpfs", "source": "tmpfs"});
    assert!(refused(over).contains("inside /proc"));
    let below =
        json!({"destination": "/x/../proc/self", "type": "bind", "source": "/tmp", "options": ["bind"]});
    assert!(refused(below).contains("mounts[0]"));
    let allowed =
        json!({"destination": "/proc/meminfo", "type": "bind", "source": "/tmp/m", "options": ["bind"]});
    lowered(|s| s["mounts"] = json!([allowed])).unwrap();
}

#[test]
fn without_a_mount_namespace_libcontainer_enters_none() {
    let lowered = lowered(|s| s["linux"]["namespaces"] = json!([{"type": "pid"}])).unwrap();
    assert_eq!(lowered.spec.linux().as_ref().unwrap().namespaces(), &Some(Vec::new()));
}

#[test]
fn hooks_are_not_libcontainers() {
    let hook = json!([{"path": "/bin/true"}]);
    for moment in ["prestart", "createRuntime", "createContainer", "startContainer", "poststop"] {
        let lowered = lowered(|s| s["hooks"] = json!({moment: hook})).unwrap();
        assert!(lowered.spec.hooks().is_none(), "{moment}");
    }
}

#[test]
fn hooks_before_the_root_is_entered_see_it() {
    let sees = |moment: &str| {
        let hooks: Hooks = serde_json::from_value(json!({moment: [{"path": "/bin/true"}]})).unwrap();
        sees_the_root(Some(&hooks))
    };
    assert!(sees("prestart") && sees("createRuntime") && sees("createContainer"));
    assert!(!sees("startContainer") && !sees("poststart") && !sees("poststop") && !sees_the_root(None));
}

#[test]
fn nothing_is_mounted_on_the_root() {
    for destination in ["/", "//", "/.", "/bin/..", "/bundle/rootfs"] {
        let mount = json!({"destination": destination, "type": "tmpfs", "source": "tmpfs"});
        let error = lowered(|s| s["mounts"] = json!([mount])).err().unwrap().to_string();
        assert!(error.contains("container's root"), "{destination}: {error}");
    }
}

#[test]
fn propagation_is_one_of_eight_words() {
    assert_eq!(propagation(None).unwrap(), None);
    assert_eq!(propagation(Some("rslave")).unwrap(), Some((libc::MS_SLAVE, true)));
    assert_eq!(propagation(Some("shared")).unwrap(), Some((libc::MS_SHARED, false)));
    assert!(propagation(Some("loud")).unwrap_err().to_string().contains("\"loud\""));
}
