//! The specs that all others are based on: what `runc spec` writes, field by field.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{
    Capability, Linux, LinuxCapabilities, LinuxDeviceCgroup, LinuxNamespace, LinuxNamespaceType,
    LinuxResources, Mount, PosixRlimitType, Process, Root, Spec, User,
};

use crate::idmap;
use crate::process::rlimit;

/// The version of the runtime specification that generated specs follow.
pub const OCI_VERSION: &str = "1.3.0";

/// The search path that generated specs set.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The mounts of a generated spec: destination, type, source, options.
const MOUNTS: [(&str, &str, &str, &[&str]); 7] = [
    ("/proc", "proc", "proc", &[]),
    ("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    ),
    ("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    ("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
];

/// Paths hidden from the container: kernel interfaces that are not namespaced and reveal information about the host.
pub const MASKED_PATHS: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
];

/// Paths that are read-only for the container: kernel interfaces that are not namespaced and change the host.
pub const READONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What `runc spec` writes: `sh` on a terminal, in new namespaces of every kind except user. runc asks for a cgroup
/// namespace only with cgroup v2.
pub fn default_spec_on(cgroup2: bool) -> Spec {
    let mut spec = Spec::default();
    spec.set_version(OCI_VERSION.to_owned())
        .set_root(Some(root()))
        .set_process(Some(process()))
        .set_hostname(Some("runc".to_owned()))
        .set_mounts(Some(MOUNTS.iter().map(mount).collect()))
        .set_annotations(None)
        .set_linux(Some(linux(cgroup2)));
    spec
}

/// What `runc spec --rootless` writes for the user `uid` with the group `gid`.
pub fn rootless_spec_on(cgroup2: bool, uid: u32, gid: u32) -> Spec {
    let mut spec = default_spec_on(cgroup2);
    for mount in spec.mounts_mut().iter_mut().flatten() {
        rootless_mount(mount);
    }
    if let Some(linux) = spec.linux_mut() {
        if let Some(namespaces) = linux.namespaces_mut() {
            namespaces.retain(|namespace| namespace.typ() != LinuxNamespaceType::Network);
            namespaces.push(namespace(LinuxNamespaceType::User));
        }
        linux
            .set_uid_mappings(Some(vec![idmap::mapping(0, uid, 1)]))
            .set_gid_mappings(Some(vec![idmap::mapping(0, gid, 1)]))
            .set_resources(None);
    }
    spec
}

fn root() -> Root {
    let mut root = Root::default();
    root.set_path(PathBuf::from("rootfs")).set_readonly(Some(true));
    root
}

fn process() -> Process {
    let mut process = Process::default();
    process
        .set_terminal(Some(true))
        .set_user(User::default())
        .set_args(Some(vec!["sh".to_owned()]))
        .set_env(Some(vec![PATH.to_owned(), "TERM=xterm".to_owned()]))
        .set_cwd(PathBuf::from("/"))
        .set_no_new_privileges(Some(true))
        .set_capabilities(Some(capabilities()))
        .set_rlimits(Some(vec![rlimit::limit(PosixRlimitType::RlimitNofile, 1024, 1024)]));
    process
}

fn capabilities() -> LinuxCapabilities {
    let few: HashSet<_> = [Capability::AuditWrite, Capability::Kill, Capability::NetBindService].into();
    let mut capabilities = LinuxCapabilities::default();
    capabilities
        .set_bounding(Some(few.clone()))
        .set_permitted(Some(few.clone()))
        .set_effective(Some(few))
        .set_inheritable(None)
        .set_ambient(None);
    capabilities
}

fn mount((destination, kind, source, options): &(&str, &str, &str, &[&str])) -> Mount {
    let options = options.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>();
    let mut mount = Mount::default();
    mount
        .set_destination(PathBuf::from(destination))
        .set_typ(Some((*kind).to_owned()))
        .set_source(Some(PathBuf::from(source)))
        .set_options(Some(options).filter(|options| !options.is_empty()));
    mount
}

/// An ordinary user may neither mount a sysfs without a network namespace nor give files to an id that is not mapped.
fn rootless_mount(mount: &mut Mount) {
    if mount.destination() == Path::new("/sys") {
        mount
            .set_typ(Some("none".to_owned()))
            .set_source(Some(PathBuf::from("/sys")))
            .set_options(Some(bind_options(&["ro"])));
    } else if let Some(options) = mount.options_mut() {
        options.retain(|option| !option.starts_with("uid=") && !option.starts_with("gid="));
    }
}

/// The options for a bind mount of one of the kernel's own file systems, followed by `more`.
pub(super) fn bind_options(more: &[&str]) -> Vec<String> {
    ["rbind", "nosuid", "noexec", "nodev"].iter().chain(more).map(|option| (*option).to_owned()).collect()
}

fn linux(cgroup2: bool) -> Linux {
    let mut kinds = vec![
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::Network,
        LinuxNamespaceType::Ipc,
        LinuxNamespaceType::Uts,
        LinuxNamespaceType::Mount,
    ];
    if cgroup2 {
        kinds.push(LinuxNamespaceType::Cgroup);
    }
    let mut deny_all = LinuxDeviceCgroup::default();
    deny_all
        .set_allow(false)
        .set_typ(None)
        .set_major(None)
        .set_minor(None)
        .set_access(Some("rwm".to_owned()));
    let mut resources = LinuxResources::default();
    resources.set_devices(Some(vec![deny_all]));
    let mut linux = Linux::default();
    linux
        .set_namespaces(Some(kinds.into_iter().map(namespace).collect()))
        .set_resources(Some(resources))
        .set_masked_paths(Some(MASKED_PATHS.map(str::to_owned).into()))
        .set_readonly_paths(Some(READONLY_PATHS.map(str::to_owned).into()));
    linux
}

pub(super) fn namespace(kind: LinuxNamespaceType) -> LinuxNamespace {
    let mut namespace = LinuxNamespace::default();
    namespace.set_typ(kind);
    namespace
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Sets are unordered: sorts them, so that two documents with the same content compare equal.
    fn content(spec: &Spec) -> Value {
        let mut value = serde_json::to_value(spec).expect("serialises");
        let sets = value["process"]["capabilities"].as_object_mut().expect("capabilities");
        for names in sets.values_mut() {
            names.as_array_mut().expect("array").sort_by_key(Value::to_string);
        }
        value
    }

    fn expected_default() -> Value {
        let caps = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
        json!({
            "ociVersion": "1.3.0",
            "process": {
                "terminal": true,
                "user": { "uid": 0, "gid": 0 },
                "args": ["sh"],
                "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
                "cwd": "/",
                "capabilities": { "bounding": caps, "effective": caps, "permitted": caps },
                "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
                "noNewPrivileges": true
            },
            "root": { "path": "rootfs", "readonly": true },
            "hostname": "runc",
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                  "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
                { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
                  "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
                { "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                  "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] },
                { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
                  "options": ["nosuid", "noexec", "nodev"] },
                { "destination": "/sys", "type": "sysfs", "source": "sysfs",
                  "options": ["nosuid", "noexec", "nodev", "ro"] },
                { "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                  "options": ["nosuid", "noexec", "nodev", "relatime", "ro"] }
            ],
            "linux": {
                "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
                "namespaces": [
                    { "type": "pid" }, { "type": "network" }, { "type": "ipc" },
                    { "type": "uts" }, { "type": "mount" }, { "type": "cgroup" }
                ],
                "maskedPaths": [
                    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"
                ],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
            }
        })
    }

    #[test]
    fn the_default_spec_is_what_runc_writes() {
        assert_eq!(content(&default_spec_on(true)), expected_default());
    }

    #[test]
    fn without_cgroup_v2_there_is_no_cgroup_namespace() {
        let mut expected = expected_default();
        expected["linux"]["namespaces"].as_array_mut().expect("array").pop();
        assert_eq!(content(&default_spec_on(false)), expected);
    }

    #[test]
    fn the_rootless_spec_is_what_runc_writes() {
        let mut expected = expected_default();
        expected["mounts"][2]["options"] =
            json!(["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]);
        expected["mounts"][5] = json!({ "destination": "/sys", "type": "none", "source": "/sys",
            "options": ["rbind", "nosuid", "noexec", "nodev", "ro"] });
        let linux = expected["linux"].as_object_mut().expect("object");
        linux.remove("resources");
        linux.insert("uidMappings".into(), json!([{ "containerID": 0, "hostID": 1000, "size": 1 }]));
        linux.insert("gidMappings".into(), json!([{ "containerID": 0, "hostID": 100, "size": 1 }]));
        linux["namespaces"] = json!([
            { "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" }, { "type": "cgroup" },
            { "type": "user" }
        ]);
        assert_eq!(content(&rootless_spec_on(true, 1000, 100)), expected);
    }

    #[test]
    fn generated_specs_load_and_validate() {
        for spec in [default_spec_on(true), rootless_spec_on(true, 1000, 1000)] {
            let json = serde_json::to_vec(&spec).expect("serialises");
            let loaded = crate::load::from_slice(Path::new("config.json"), &json).expect("loads");
            assert_eq!(loaded.warnings, [""; 0]);
            assert_eq!(loaded.spec, spec);
            crate::container::Container::parse(spec).expect("valid");
        }
    }
}
