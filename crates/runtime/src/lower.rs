//! The spec that libcontainer gets: what it does correctly, and nothing else.
//!
//! The rest is not lost: it is in the [`Blueprint`](rootling_init::blueprint::Blueprint), for rootling's own hands.
//! docs/libcontainer.md lists each of these with its reason.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use oci_spec::runtime::{
    Hooks, LinuxDevice, LinuxNamespace, LinuxNamespaceType, Mount, Process, ProcessBuilder, Spec, UserBuilder,
};
use rootling_config::mounts::{self, IdmapKind};
use rootling_config::namespaces::NamespaceSet;

use rootling_init::blueprint::{Dev, MountKind, MountPlan};
use rootling_init::idmap::Idmap;
use rootling_sys::path::clean;

use crate::error::{Error, Result, chain};

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

/// Lowers an adapted spec out of which the plan has taken what is its own.
pub(crate) fn lower(
    mut spec: Spec,
    namespaces: &NamespaceSet,
    hooked: bool,
    (bundle, rootfs): (&Path, &Path),
) -> Result<Lowered> {
    let wanted = spec.mounts_mut().take().unwrap_or_default();
    let propagation = wanted_propagation(&spec);
    let mut mounts = Vec::with_capacity(wanted.len());
    let mut dev = Dev::Plain { readonly: false };
    for (index, mount) in wanted.iter().enumerate() {
        let plan = mount_plan(mount, bundle, rootfs)
            .map_err(|e| e.wrap(format!("mounts[{index}] ({})", mount.destination().display())))?;
        if plan.destination == Path::new("/dev") {
            dev = dev_of(&plan, dev, hooked);
        }
        mounts.push(plan);
    }
    let names = (spec.hostname_mut().take(), spec.domainname_mut().take());
    let linux = spec.linux_mut().get_or_insert_with(Default::default);
    let devices = linux.devices_mut().take().unwrap_or_default();
    let base_propagation = base_propagation(&mut mounts, propagation.as_deref());
    let mount_label = linux.mount_label_mut().take().filter(|l| !l.is_empty());
    linux.set_namespaces(Some(remaining_namespaces(namespaces)));
    // Its root is a private one, of which nothing is to be shared with anybody.
    linux.set_rootfs_propagation(None);
    linux.set_memory_policy(None);
    linux.set_uid_mappings(None);
    linux.set_gid_mappings(None);
    spec.set_process(Some(lowered_process(spec.process().as_ref())?));
    // The hooks are ours to run, at moments that libcontainer has not in a private root.
    spec.set_hooks(None);
    if let Some(root) = spec.root_mut() {
        root.set_readonly(Some(false));
    }
    Ok(Lowered { spec: Rc::new(spec), dev, devices, mounts, names, base_propagation, mount_label })
}

/// Who fills the `/dev` that this mount makes.
fn dev_of(plan: &MountPlan, before: Dev, hooked: bool) -> Dev {
    let readonly = plan.options.set & libc::MS_RDONLY != 0;
    match plan.kind {
        MountKind::Bind(_) => Dev::Bound,
        MountKind::Remount => before,
        // libcontainer wants it empty; hooks want it complete before libcontainer works.
        _ if hooked || plan.options.tmpcopyup || !plan.is_new("tmpfs", "/dev") => Dev::Plain { readonly },
        _ => Dev::Fresh { readonly },
    }
}

/// Whether there are hooks that look at the root file system before it is entered.
pub(crate) fn sees_the_root(hooks: Option<&Hooks>) -> bool {
    let Some(hooks) = hooks else { return false };
    #[allow(deprecated)] // prestart is deprecated for authors of specs, not for runtimes.
    let lists = [hooks.prestart(), hooks.create_runtime(), hooks.create_container()];
    lists.into_iter().flatten().any(|list| !list.is_empty())
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
    check_root(&destination, &kind)?;
    check_proc(&destination, &kind)?;
    Ok(MountPlan { destination, kind, options, idmap })
}

/// Nothing can be mounted on the root: what lies there would hide the later ones, or be hidden by them.
fn check_root(destination: &Path, kind: &MountKind) -> Result<()> {
    if destination != Path::new("/") || *kind == MountKind::Remount {
        return Ok(());
    }
    Err(Error::invalid(
        "\"/\" is the container's root, which nothing can be mounted on: name a directory below it, or another root.path",
    ))
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

/// /proc itself can be a proc or a bind, of which `rootling_init` checks that it is one; whatever else
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

/// The word of `rootfsPropagation`; without one the root is private, as are all mounts in it that ask for nothing else.
fn wanted_propagation(spec: &Spec) -> Option<String> {
    spec.linux().as_ref()?.rootfs_propagation().clone().filter(|word| !word.is_empty())
}

/// The propagation of the host's mounts while those of the container are copied from them; the wanted one comes after them.
///
/// A mount that asks to be a slave or shared can only be that of what is one while it is copied. `shared` is about the root
/// alone, so the others are set apart then.
fn base_propagation(mounts: &mut [MountPlan], wanted: Option<&str>) -> u64 {
    const REACHED: u64 = libc::MS_SHARED | libc::MS_SLAVE;
    let asks = |mount: &MountPlan| mount.options.propagation.iter().any(|flags| flags & REACHED != 0);
    let base = match wanted {
        None if mounts.iter().any(asks) => libc::MS_SLAVE,
        Some("shared") if mounts.iter().any(asks) => libc::MS_SHARED,
        None | Some("shared" | "private" | "rprivate") => return libc::MS_PRIVATE,
        Some("rshared") => return libc::MS_SHARED,
        // What is unbindable could not even be bound onto itself.
        Some(_) => return libc::MS_SLAVE,
    };
    for mount in mounts.iter_mut().filter(|mount| mount.options.propagation.is_empty()) {
        if mount.kind != MountKind::Remount {
            mount.options.propagation.push(libc::MS_PRIVATE | libc::MS_REC);
        }
    }
    base
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

#[cfg(test)]
#[path = "lower_tests.rs"]
mod tests;
