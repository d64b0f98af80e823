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
    let hooks = spec.hooks().clone();
    lower(spec, &namespaces, hooks.as_ref(), Path::new("/bundle"), Path::new("/bundle/rootfs"))
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
    assert_eq!(lowered(|_| ()).unwrap().dev, Dev::Plain);
    let with = |mount: Value| lowered(|s| s["mounts"] = json!([mount])).unwrap().dev;
    let tmpfs = json!({"destination": "/dev/", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]});
    assert_eq!(with(tmpfs), Dev::Fresh { readonly: true });
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
    let late = lowered(|s| s["hooks"] = json!({"poststop": hook, "startContainer": hook})).unwrap();
    assert!(late.spec.hooks().is_none());
    let early = lowered(|s| s["hooks"] = json!({"createRuntime": hook, "createContainer": hook})).unwrap();
    let early = early.spec.hooks().as_ref();
    assert_eq!(
        early,
        Some(&Hooks::default()),
        "its hook of that moment is asked for, and none is left to it"
    );
}

#[test]
fn propagation_is_one_of_eight_words() {
    assert_eq!(propagation(None).unwrap(), None);
    assert_eq!(propagation(Some("rslave")).unwrap(), Some((libc::MS_SLAVE, true)));
    assert_eq!(propagation(Some("shared")).unwrap(), Some((libc::MS_SHARED, false)));
    assert!(propagation(Some("loud")).unwrap_err().to_string().contains("\"loud\""));
}
