//! The spec that libcontainer gets: what it does correctly, and nothing else.
//!
//! The rest is not lost: mounts become [`MountPlan`]s, which [`crate::child`] makes before it calls
//! libcontainer, and what is left is a field of [`crate::plan::Finish`]. docs/libcontainer.md lists
//! each of these with its reason.

use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use oci_spec::runtime::{
    Hooks, LinuxDevice, LinuxNamespace, LinuxNamespaceType, Mount, Process, ProcessBuilder, Spec, UserBuilder,
};
use rootling_config::mounts::{self, IdmapKind, MountOptions};
use rootling_config::namespaces::NamespaceSet;
use rootling_rootless::host::Host;

use crate::error::{Error, Result, chain};
use crate::idmap::Idmap;

/// mount_setattr(2) attributes, linux/mount.h.
pub(crate) mod attr {
    pub(crate) const RDONLY: u64 = 0x1;
    pub(crate) const NOSUID: u64 = 0x2;
    pub(crate) const NODEV: u64 = 0x4;
    pub(crate) const NOEXEC: u64 = 0x8;
    pub(crate) const ATIME: u64 = 0x70;
    pub(crate) const NOATIME: u64 = 0x10;
    pub(crate) const STRICTATIME: u64 = 0x20;
    pub(crate) const NODIRATIME: u64 = 0x80;
    pub(crate) const NOSYMFOLLOW: u64 = 0x0020_0000;
}

/// How `/dev` comes about, which decides who fills it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dev {
    /// A new tmpfs: libcontainer makes the default devices and links in it. `readonly`: it is to be
    /// closed to changes after that.
    Fresh { readonly: bool },
    /// A directory of the root file system: ours, since libcontainer fails when a link exists.
    Plain,
    /// Bound from somewhere: nothing is made in it, as in runc.
    Bound,
}

/// A mount that is to be made.
#[derive(Clone, Debug)]
pub(crate) struct MountPlan {
    /// Where, in the container.
    pub(crate) destination: PathBuf,
    pub(crate) kind: MountKind,
    pub(crate) options: MountOptions,
    pub(crate) idmap: Option<Idmap>,
}

/// What is to be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MountKind {
    /// What the host has at this path.
    Bind(PathBuf),
    /// A new file system.
    New { kind: String, source: String },
    /// Nothing new: other flags for what is mounted there.
    Remount,
    /// The container's cgroup, in the way of this host: see [`crate::cgroup_mount`].
    Cgroup,
    /// A directory for each hierarchy of cgroup v1, and links for controllers that share one.
    CgroupV1 { hierarchies: Vec<(String, PathBuf)>, links: Vec<(String, String)> },
}

/// The result.
pub(crate) struct Lowered {
    pub(crate) spec: Rc<Spec>,
    pub(crate) dev: Dev,
    pub(crate) devices: Vec<LinuxDevice>,
    pub(crate) mounts: Vec<MountPlan>,
    /// Hostname and domainname.
    pub(crate) names: (Option<String>, Option<String>),
    /// Propagation of the mounts while they are made, as flags of mount(2).
    pub(crate) base_propagation: u64,
    /// The SELinux label of new file systems, where SELinux is on.
    pub(crate) mount_label: Option<String>,
}

/// Lowers an adapted spec out of which [`crate::plan`] has taken what is its own.
pub(crate) fn lower(
    mut spec: Spec,
    namespaces: &NamespaceSet,
    hooks: Option<&Hooks>,
    bundle: &Path,
    rootfs: &Path,
) -> Result<Lowered> {
    let wanted = spec.mounts_mut().take().unwrap_or_default();
    let mut mounts = Vec::with_capacity(wanted.len());
    let mut dev = Dev::Plain;
    for (index, mount) in wanted.iter().enumerate() {
        let plan = mount_plan(mount, bundle, rootfs)
            .map_err(|e| e.wrap(format!("mounts[{index}] ({})", mount.destination().display())))?;
        if plan.destination == Path::new("/dev") {
            let readonly = plan.options.set & libc::MS_RDONLY != 0;
            dev = if matches!(plan.kind, MountKind::Bind(_)) { Dev::Bound } else { Dev::Fresh { readonly } };
        }
        mounts.push(plan);
    }
    let names = (spec.hostname_mut().take(), spec.domainname_mut().take());
    let linux = spec.linux_mut().get_or_insert_with(Default::default);
    let devices = linux.devices_mut().take().unwrap_or_default();
    let lowered_propagation = lowered_propagation(linux.rootfs_propagation().as_deref());
    let base_propagation = match lowered_propagation.as_deref() {
        Some("private") => libc::MS_PRIVATE,
        Some("shared") => libc::MS_SHARED,
        _ => libc::MS_SLAVE,
    };
    let mount_label = linux.mount_label_mut().take().filter(|l| !l.is_empty() && Host::probe().has_selinux());
    linux.set_namespaces(Some(remaining_namespaces(namespaces)));
    linux.set_rootfs_propagation(lowered_propagation);
    linux.set_memory_policy(None);
    linux.set_uid_mappings(None);
    linux.set_gid_mappings(None);
    spec.set_process(Some(lowered_process(spec.process().as_ref())?));
    spec.set_hooks(lowered_hooks(hooks));
    if let Some(root) = spec.root_mut() {
        root.set_readonly(Some(false));
    }
    Ok(Lowered { spec: Rc::new(spec), dev, devices, mounts, names, base_propagation, mount_label })
}

/// A path without `.`, `..` and doubled slashes, read as if nothing in it were a link.
pub(crate) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

fn mount_plan(mount: &Mount, bundle: &Path, rootfs: &Path) -> Result<MountPlan> {
    let options = mounts::parse(mount).map_err(|e| Error::invalid(chain(&e)))?;
    let idmap = options.idmap.map(|kind| Idmap {
        recursive: kind == IdmapKind::Recursive,
        uid: mount.uid_mappings().clone().unwrap_or_default(),
        gid: mount.gid_mappings().clone().unwrap_or_default(),
    });
    let kind = mount.typ().as_deref().unwrap_or_default();
    let source = mount.source().as_ref();
    let kind = if options.remount {
        MountKind::Remount
    } else if options.bind.is_some() {
        let source = source.ok_or_else(|| Error::invalid("source: missing; a bind mount needs one"))?;
        MountKind::Bind(bundle.join(source))
    } else if matches!(kind, "cgroup" | "cgroup2") {
        MountKind::Cgroup
    } else if kind.is_empty() {
        return Err(Error::invalid("type: missing; name a file system, or add the option bind or rbind"));
    } else {
        let source = source.map_or_else(|| kind.to_owned(), |s| s.to_string_lossy().into_owned());
        MountKind::New { kind: kind.to_owned(), source }
    };
    let destination = inside(mount.destination(), rootfs);
    check_proc(&destination, &kind)?;
    Ok(MountPlan { destination, kind, options, idmap })
}

/// What may be mounted below /proc: files that lxcfs and its kin stand in for, as in runc.
const BELOW_PROC: [&str; 10] = [
    "cpuinfo",
    "diskstats",
    "meminfo",
    "stat",
    "swaps",
    "uptime",
    "loadavg",
    "slabinfo",
    "sys/kernel/ns_last_pid",
    "sys/crypto/fips_enabled",
];

/// /proc itself can be a proc or a bind, of which [`crate::child`] checks that it is one; whatever else
/// is put there or below could stand in for files that security depends on (CVE-2025-52881).
fn check_proc(destination: &Path, kind: &MountKind) -> Result<()> {
    let Ok(below) = destination.strip_prefix("/proc") else { return Ok(()) };
    let allowed = if below.as_os_str().is_empty() {
        matches!(kind, MountKind::New { kind, .. } if kind == "proc")
            || matches!(kind, MountKind::Bind(_) | MountKind::Remount)
    } else {
        BELOW_PROC.iter().any(|p| below == Path::new(p))
    };
    if allowed {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{destination:?} cannot be mounted because it is inside /proc; only a proc may be mounted there, and single \
         files such as /proc/meminfo below it"
    )))
}

/// The destination as a path of the container. Some engines write the path of the host, through the root
/// file system; runc takes both.
fn inside(destination: &Path, rootfs: &Path) -> PathBuf {
    let destination = clean(destination);
    match destination.strip_prefix(rootfs) {
        Ok(below) if rootfs != Path::new("/") => Path::new("/").join(below),
        _ => destination,
    }
}

/// All are made or joined when libcontainer gets them, so it joins the mount namespace that it is in:
/// with none it would use chroot(2) instead of pivot_root(2), and with a new one it would copy all the
/// mounts once more and wait for the kernel to free the first copy.
///
/// A user namespace it does not join again. It has to know of it, or it would try to make devices where
/// every id is mapped, which it takes for the host's own namespace.
fn remaining_namespaces(namespaces: &NamespaceSet) -> Vec<LinuxNamespace> {
    let entered = |typ, path: &str| {
        let mut namespace = LinuxNamespace::default();
        namespace.set_typ(typ);
        namespace.set_path(Some(path.into()));
        namespace
    };
    let mut remaining = Vec::new();
    if namespaces.mount.is_set() {
        remaining.push(entered(LinuxNamespaceType::Mount, "/proc/self/ns/mnt"));
    }
    if namespaces.user.is_set() {
        remaining.push(entered(LinuxNamespaceType::User, "/proc/self/ns/user"));
    }
    remaining
}

/// `rootfsPropagation` as flags of mount(2), and whether it is for the whole tree.
pub(crate) fn propagation(wanted: Option<&str>) -> Result<Option<(u64, bool)>> {
    let Some(wanted) = wanted.filter(|w| !w.is_empty()) else { return Ok(None) };
    match mounts::propagation(wanted) {
        Some(flags) => Ok(Some((flags & !libc::MS_REC, flags & libc::MS_REC != 0))),
        None => Err(Error::invalid(format!(
            "linux.rootfsPropagation: {wanted:?} is none of private, slave, shared, unbindable and their recursive \
             forms rprivate, rslave, rshared, runbindable"
        ))),
    }
}

/// The propagation while the mounts are made, of those that libcontainer knows; the wanted one comes
/// after them.
fn lowered_propagation(wanted: Option<&str>) -> Option<String> {
    let wanted = wanted.filter(|w| !w.is_empty())?;
    let base = wanted.strip_prefix('r').unwrap_or(wanted);
    // What is unbindable could not even be bound onto itself.
    Some(if base == "unbindable" { "slave" } else { base }.to_owned())
}

/// A process that libcontainer leaves as it is: its init ends in our hands before any of it is used.
fn lowered_process(process: Option<&Process>) -> Result<Process> {
    let process = process.ok_or_else(|| Error::invalid("process: missing"))?;
    let user = UserBuilder::default().uid(0u32).gid(0u32).build().map_err(|e| Error::system(chain(&e)))?;
    let mut lowered = ProcessBuilder::default()
        .user(user)
        .args(vec!["/".to_owned()])
        // With a HOME, libcontainer does not ask the name service for one.
        .env(vec!["HOME=/".to_owned()])
        .cwd("/")
        .build()
        .map_err(|e| Error::system(chain(&e)))?;
    lowered.set_capabilities(None);
    lowered.set_rlimits(None);
    lowered.set_no_new_privileges(None);
    lowered.set_apparmor_profile(process.apparmor_profile().clone().filter(|p| !p.is_empty()));
    lowered.set_io_priority(None);
    lowered.set_scheduler(None);
    Ok(lowered)
}

/// None of the hooks, which are ours to run; but with an object of them libcontainer reports their moment.
fn lowered_hooks(hooks: Option<&Hooks>) -> Option<Hooks> {
    let hooks = hooks?;
    #[allow(deprecated)] // prestart is deprecated for authors of specs, not for runtimes.
    let before_start = hooks.prestart().is_some() || hooks.create_runtime().is_some();
    if !before_start && hooks.create_container().is_none() {
        return None;
    }
    Some(Hooks::default())
}

#[cfg(test)]
#[path = "lower_tests.rs"]
mod tests;
