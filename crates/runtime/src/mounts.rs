//! The mounts of a container, as far as this host can make them.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where the container's cgroup mounts usually are, too.
pub(crate) use rootling_cgroup::MOUNT as CGROUPS;
use rootling_config::mounts::{Bind, Kind, Mount, MountOptions, Propagation};
use rootling_config::namespaces::{Namespace, NamespaceSet};
use rootling_init::blueprint::{Dev, MountKind, MountPlan};
use rootling_sys::mount::{MS_PRIVATE, MS_RDONLY, MS_REC, MS_SHARED, MS_SLAVE};
use rootling_sys::path::clean;

use crate::error::{Error, Result};

/// Determines the destination of each mount, and what becomes of it on this host.
pub(crate) fn place(
    wanted: Vec<Mount>,
    (bundle, rootfs): (&Path, &Path),
    namespaces: &NamespaceSet,
    rootless: bool,
) -> Result<Vec<MountPlan>> {
    let place = |(index, mount): (usize, Mount)| {
        let destination = inside(&mount.destination, rootfs);
        check_root(&destination, &mount.kind)
            .and_then(|()| check_proc(&destination, &mount.kind))
            .map_err(|e| e.wrap(format!("mounts[{index}] ({})", mount.destination.display())))?;
        let mut options = mount.options;
        let kind = match mount.kind {
            Kind::Bind(source) => MountKind::Bind(bundle.join(source)),
            Kind::New { kind, source } => MountKind::New { kind, source },
            Kind::Remount => MountKind::Remount,
            Kind::Cgroup => cgroups(namespaces, rootless, &mut options),
        };
        Ok(MountPlan { destination, kind, options, idmap: mount.idmap })
    };
    wanted.into_iter().enumerate().map(place).collect()
}

/// Determines who fills `/dev`.
pub(crate) fn dev(mounts: &[MountPlan], hooked: bool) -> Dev {
    let on_dev = mounts.iter().filter(|mount| mount.is_at("/dev"));
    on_dev.fold(Dev::Plain { readonly: false }, |before, mount| {
        let readonly = mount.options.set & MS_RDONLY != 0;
        match mount.kind {
            MountKind::Bind(_) => Dev::Bound,
            MountKind::Remount => before,
            // libcontainer requires it to be empty; hooks require it to be complete before libcontainer does its work.
            _ if hooked || mount.options.tmpcopyup || !mount.is_new("tmpfs", "/dev") => {
                Dev::Plain { readonly }
            }
            _ => Dev::Fresh { readonly },
        }
    })
}

/// What becomes of a cgroup mount.
fn cgroups(namespaces: &NamespaceSet, rootless: bool, options: &mut MountOptions) -> MountKind {
    if !rootling_cgroup::is_unified() {
        return MountKind::CgroupV1;
    }
    // Mounting it requires privilege in the user namespace that owns the cgroup namespace.
    let mountable = match &namespaces.cgroup {
        Namespace::New => true,
        Namespace::Path(_) => nix::unistd::geteuid().is_root() || namespaces.user.path().is_some(),
        Namespace::None => !rootless && !namespaces.user.is_set(),
    };
    if mountable {
        return MountKind::New { kind: "cgroup2".into(), source: "cgroup".into() };
    }
    // The host's mount can be shown instead, as a whole, because /proc/self/cgroup has paths relative to the top of it.
    options.bind = Some(Bind::Recursive);
    MountKind::Bind(CGROUPS.into())
}

/// Refuses to mount on the root: such a mount would hide later mounts or be hidden by them.
fn check_root(destination: &Path, kind: &Kind) -> Result<()> {
    if destination.as_os_str() != "/" || *kind == Kind::Remount {
        return Ok(());
    }
    Err(Error::invalid(
        "\"/\" is the container's root, which nothing can be mounted on: name a directory below it, or another root.path",
    ))
}

/// What may be mounted below /proc: files for which lxcfs and similar programs provide substitutes; as in runc.
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

/// Checks a mount on or below /proc. /proc itself can be a proc mount or a bind mount, which `rootling_init` checks to
/// be a procfs; anything else that is mounted there or below could replace files that security depends on
/// (CVE-2025-52881).
fn check_proc(destination: &Path, kind: &Kind) -> Result<()> {
    if !may_start_with(destination, Path::new("/proc")) {
        return Ok(());
    }
    let Ok(below) = destination.strip_prefix("/proc") else { return Ok(()) };
    let allowed = if below.as_os_str().is_empty() {
        matches!(kind, Kind::New { kind, .. } if kind == "proc")
            || matches!(kind, Kind::Bind(_) | Kind::Remount)
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

/// The destination as a path inside the container. Some engines write the host's path, through the root file system;
/// runc accepts both.
fn inside(destination: &Path, rootfs: &Path) -> PathBuf {
    let destination = clean(destination);
    if rootfs.as_os_str() == "/" || !may_start_with(&destination, rootfs) {
        return destination;
    }
    destination.strip_prefix(rootfs).map_or_else(|_| destination.clone(), |below| Path::new("/").join(below))
}

/// Whether a clean path may be below another, by its bytes: comparing paths takes apart both, for each of perhaps
/// thousands of mounts.
fn may_start_with(path: &Path, other: &Path) -> bool {
    path.as_os_str().as_bytes().starts_with(other.as_os_str().as_bytes())
}

/// The propagation of the host's mounts while the container's are copied from them, as a flag of mount(2); the
/// propagation that the spec asks for is set afterwards.
///
/// A mount that asks to be a slave or shared can only become so if the mount that it is copied from is one at that
/// moment. `shared` concerns only the root, so all other mounts are made private then.
pub(crate) fn base_propagation(mounts: &mut [MountPlan], wanted: Option<Propagation>) -> u64 {
    const REACHED: u64 = MS_SHARED | MS_SLAVE;
    let asks = |mount: &MountPlan| mount.options.propagation.iter().any(|flags| flags & REACHED != 0);
    let base = match wanted.map(|wanted| (wanted.flag, wanted.recursive)) {
        None if mounts.iter().any(asks) => MS_SLAVE,
        Some((MS_SHARED, false)) if mounts.iter().any(asks) => MS_SHARED,
        None | Some((MS_SHARED, false) | (MS_PRIVATE, _)) => return MS_PRIVATE,
        Some((MS_SHARED, true)) => return MS_SHARED,
        // An unbindable mount could not even be bind-mounted onto itself.
        Some(_) => return MS_SLAVE,
    };
    for mount in mounts.iter_mut().filter(|mount| mount.options.propagation.is_empty()) {
        if mount.kind != MountKind::Remount {
            mount.options.propagation.push(MS_PRIVATE | MS_REC);
        }
    }
    base
}

#[cfg(test)]
mod tests;
