//! What can go wrong with a cgroup. Each error is one line: what failed, why, and what to do.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use rootling_config::remedies::{OWN_SCOPE, UNIFIED_HIERARCHY, WRITABLE_CGROUPS};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupError {
    /// Limits were asked for, but the caller does not have the controllers for them.
    #[error(
        "linux.resources asks for limits of the cgroup controller(s) {controllers}, which {why}; {remedy}"
    )]
    ControllerUnavailable {
        /// Names of the controllers, comma-separated.
        controllers: String,
        /// What was found instead.
        why: String,
        /// What to run or to change.
        remedy: String,
    },
    /// A cgroup directory could not be created.
    #[error("unable to apply cgroup configuration: mkdir {}: {}{}", path.display(), errno(source), hint(source))]
    Create {
        /// The directory.
        path: PathBuf,
        /// mkdir(2)'s error.
        source: io::Error,
    },
    /// A new cpuset of cgroup v1 did not get its parent's CPUs or memory nodes.
    #[error(
        "unable to apply cgroup configuration: {} is empty, so no process can join the cgroup: a cgroup beside it has those of its parent to itself; remove it, or set cpuset.{exclusive} of it to 0",
        path.display()
    )]
    EmptyCpuset {
        /// The empty file.
        path: PathBuf,
        /// The file that reserves CPUs or memory nodes for a cgroup (cgroup-v1/cpusets.rst).
        exclusive: &'static str,
    },
    /// The cgroup exists already and contains processes.
    #[error("container's cgroup is not empty: {} holds {count} process(es); stop them or choose another linux.cgroupsPath", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
        /// How many processes are in it and below it.
        count: usize,
    },
    /// The cgroup exists already and is frozen, so a container in it would never run.
    #[error("container's cgroup unexpectedly frozen: {}; thaw it or choose another linux.cgroupsPath", path.display())]
    Frozen {
        /// The directory.
        path: PathBuf,
    },
    /// The cgroup cannot hold a container because of the cgroups above it.
    #[error("cgroup {} is \"{kind}\", so {why}; choose a linux.cgroupsPath below a cgroup without processes of its own", path.display())]
    NotADomain {
        /// The directory.
        path: PathBuf,
        /// The contents of cgroup.type.
        kind: String,
        /// What this prevents.
        why: &'static str,
    },
    /// A process could not be moved into the cgroup.
    #[error("write {pid} to {}/cgroup.procs: {source}{}", path.display(), hint(source))]
    Attach {
        /// The directory.
        path: PathBuf,
        /// The process.
        pid: i32,
        /// write(2)'s error.
        source: io::Error,
    },
    /// The kernel refused a value.
    #[error("write {value:?} to {}: {source}{}", path.display(), refused(source, path))]
    Write {
        /// The file.
        path: PathBuf,
        /// What was written.
        value: String,
        /// open(2)'s or write(2)'s error.
        source: io::Error,
    },
    /// A cgroup above the container's has too small a realtime budget, and could not be given more.
    #[error(
        "linux.resources.cpu.realtimeRuntime needs {needed} in {}, which has {before}: {source}; as root write it there, \
         or ask for less", path.display()
    )]
    Realtime {
        /// The file.
        path: PathBuf,
        /// Its current value, in microseconds.
        before: i64,
        /// What the cgroups below it need together.
        needed: u64,
        /// open(2)'s or write(2)'s error.
        source: io::Error,
    },
    /// A cgroup file or directory could not be read.
    #[error("read {}: {source}{}", path.display(), gone(source, path))]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The system call's error.
        source: io::Error,
    },
    /// The ownership of a cgroup could not be given to the container's user.
    #[error("chown {} to user {uid}: {source}", path.display())]
    Delegate {
        /// The file or directory.
        path: PathBuf,
        /// The user's id outside the container.
        uid: u32,
        /// The system call's error.
        source: io::Error,
    },
    /// A cgroup could not be removed in time.
    #[error("remove cgroup {}: {source}; processes in it: {pids:?}", path.display())]
    Remove {
        /// The directory.
        path: PathBuf,
        /// rmdir(2)'s error.
        source: io::Error,
        /// The processes that are still in it.
        pids: Vec<i32>,
    },
    /// The cgroup did not freeze in time, and has been thawed again.
    #[error("freeze {}: {reason}", path.display())]
    Freeze {
        /// The directory.
        path: PathBuf,
        /// What was observed instead.
        reason: String,
    },
    /// The container has no cgroup, and what was asked for needs one.
    #[error("{action} needs a cgroup and this container runs without one: {remedy}")]
    NoCgroup {
        /// What was asked for.
        action: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// The host has no mounted cgroup hierarchy that could be used.
    #[error("no cgroup hierarchy is mounted below {}: mount one, or use --cgroup-manager disabled", root.display())]
    NoHierarchy {
        /// The directory in which it was looked for.
        root: PathBuf,
    },
    /// A value in `linux.resources` that no kernel accepts.
    #[error("linux.resources.{field}: {value:?}: {reason}")]
    InvalidResource {
        /// The field, below `linux.resources`.
        field: &'static str,
        /// Its value.
        value: String,
        /// Why it is refused, and what to write instead.
        reason: &'static str,
    },
    /// `memory.checkBeforeUpdate`: the container already exceeds the limit.
    #[error(
        "rejecting {what} limit {limit} <= usage {usage}: it would kill the container's processes; raise it, or leave out memory.checkBeforeUpdate"
    )]
    BelowUsage {
        /// `memory` or `memory+swap`.
        what: &'static str,
        /// The limit, in bytes.
        limit: u64,
        /// The current usage, in bytes.
        usage: u64,
    },
    /// A device rule has no access.
    #[error(
        "device access at {index} field cannot be empty: write any of r, w and m to linux.resources.devices[{index}].access"
    )]
    EmptyDeviceAccess {
        /// Its index in `linux.resources.devices`.
        index: usize,
    },
    /// The program that enforces device rules on cgroup v2 could not be attached.
    #[error("device rules of cgroup {}: bpf(2): {source}; it takes CAP_SYS_ADMIN (or CAP_BPF with CAP_NET_ADMIN) and a kernel with CONFIG_CGROUP_BPF", path.display())]
    DeviceProgram {
        /// The directory.
        path: PathBuf,
        /// bpf(2)'s error.
        source: io::Error,
    },
    /// `linux.cgroupsPath` does not name a unit.
    #[error(
        "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {path:?} instead"
    )]
    SystemdPath {
        /// The path.
        path: String,
    },
    /// The first part of `linux.cgroupsPath` is not a slice.
    #[error(
        "{slice:?} in linux.cgroupsPath is not the name of a slice: it must end in .slice and hold no slash and no empty part between dashes"
    )]
    Slice {
        /// The name.
        slice: String,
    },
    /// A systemd cgroup was asked for, but systemd does not run.
    #[error(
        "systemd not running on this host (/run/systemd/system is absent), cannot use systemd cgroups manager; use --cgroup-manager cgroupfs"
    )]
    NotBooted,
    /// The systemd user manager can do nothing on cgroup v1.
    #[error(
        "cannot use rootless systemd cgroups manager on cgroup v1; boot with {UNIFIED_HIERARCHY}, or use --cgroup-manager cgroupfs"
    )]
    RootlessSystemdOnV1,
    /// The bus on which systemd is reached does not answer.
    #[error("connect to the {} D-Bus for a systemd cgroup: {reason}; {}", if *user { "user's" } else { "system's" }, bus_remedy(*user))]
    Bus {
        /// True for the user's own bus, false for the system's.
        user: bool,
        /// What happened.
        reason: String,
    },
    /// systemd has refused a call.
    #[error("systemd: {call} {unit}: {reason}")]
    Systemd {
        /// The method of org.freedesktop.systemd1.Manager.
        call: &'static str,
        /// The unit.
        unit: String,
        /// systemd's message.
        reason: String,
    },
    /// An annotation `org.systemd.property.*` is not a valid property.
    #[error("annotation {key}={value:?}: {reason}")]
    Annotation {
        /// The annotation.
        key: String,
        /// Its value.
        value: String,
        /// Why it is refused, and what to write instead.
        reason: &'static str,
    },
    /// `linux.resources.unified` on a host without cgroup v2.
    #[error(
        "invalid configuration: linux.resources.unified needs cgroup v2 and this host runs cgroup v1; use the fields of linux.resources, or boot with {UNIFIED_HIERARCHY}"
    )]
    UnifiedOnV1,
}

/// The wording of runc for common refusals, which engines look for.
fn errno(error: &io::Error) -> String {
    match rootling_sys::errno(error) {
        Some(Errno::EACCES) => "permission denied (EACCES)".to_owned(),
        Some(Errno::EPERM) => "operation not permitted (EPERM)".to_owned(),
        _ => error.to_string(),
    }
}

/// The remedy for common errors of creating and joining.
fn hint(error: &io::Error) -> String {
    match rootling_sys::errno(error) {
        Some(Errno::EACCES | Errno::EPERM) => {
            format!("; the cgroup is not delegated to this user: {OWN_SCOPE}")
        }
        Some(Errno::EROFS) => {
            format!(
                "; the cgroup filesystem is mounted read-only: mount it read-write, or {WRITABLE_CGROUPS}"
            )
        }
        Some(Errno::EBUSY) => {
            "; a cgroup above it has processes of its own: choose another linux.cgroupsPath".into()
        }
        Some(Errno::ENOSPC) => "; the limit of cgroup.max.descendants or cgroup.max.depth is reached".into(),
        _ => String::new(),
    }
}

fn bus_remedy(user: bool) -> &'static str {
    if user {
        "log in (su and sudo give no session), or have root run `loginctl enable-linger` for this user; install \
         dbus-user-session; check DBUS_SESSION_BUS_ADDRESS and XDG_RUNTIME_DIR; or use --cgroup-manager cgroupfs"
    } else {
        "start dbus.service, or use --cgroup-manager cgroupfs"
    }
}

const GONE: &str =
    "; the cgroup has been removed: its container has ended, or has moved itself to another cgroup";

/// Whether `file` is the weight of an idle cgroup, for which no weight can be set.
fn is_weight_of_idle(file: &Path) -> bool {
    let is_weight = ["cpu.shares", "cpu.weight", "cpu.weight.nice"].iter().any(|name| file.ends_with(name));
    is_weight && std::fs::read_to_string(file.with_file_name("cpu.idle")).is_ok_and(|idle| idle.trim() == "1")
}

fn is_gone(file: &Path) -> bool {
    file.parent().is_some_and(|cgroup| !cgroup.exists())
}

/// What it means that a file cannot be read.
fn gone(error: &io::Error, path: &Path) -> &'static str {
    match rootling_sys::errno(error) {
        // An open file reports this if its cgroup has been removed since.
        Some(Errno::ENODEV) => GONE,
        Some(Errno::ENOENT) if is_gone(path) => GONE,
        _ => "",
    }
}

/// Why the kernel may refuse a value.
fn refused(error: &io::Error, path: &Path) -> &'static str {
    match rootling_sys::errno(error) {
        Some(Errno::ENOENT | Errno::ENODEV) if is_gone(path) => GONE,
        Some(Errno::ENOENT) => "; the kernel or the cgroup above offers no such controller file",
        Some(Errno::EINVAL) if is_weight_of_idle(path) => {
            "; the cgroup is idle and takes no weight: set cpu.idle to 0 along with it"
        }
        Some(Errno::EINVAL) => "; the kernel takes no such value here",
        Some(Errno::ERANGE) => "; the value is out of range",
        Some(Errno::EBUSY) => "; the processes in the cgroup use more than that already",
        Some(Errno::ENODEV) => "; there is no such device, or it takes no such limit",
        _ => "",
    }
}
