//! Mounts that are complete but not yet attached.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::stat::{SFlag, fstat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
use rootling_config::mounts::{Bind, MountOptions};
use rootling_sys as sys;
use rootling_sys::mount::{Refused, attr, set_attr};

use super::flags::recursive_attr;
use super::{bind_flags, hints};
use crate::blueprint::{Hierarchies, MountKind, MountPlan};
use crate::error::{Context, Error, Result};

/// A mount of the plan, as far as it can be made while the host is visible.
pub(crate) enum Prepared {
    /// A detached mount with its attributes.
    Tree(OwnedFd),
    /// `/dev`, and the copy of this mount that libcontainer has filled, once it has: the devices that it has bind-mounted move
    /// from there.
    FreshDev(OwnedFd, Option<OwnedFd>),
    /// The tmpfs for the hierarchies of cgroup v1, and the tree of each of them, in order.
    Hierarchies(OwnedFd, Vec<OwnedFd>, Hierarchies),
    /// A link that is recreated.
    Link(PathBuf),
    /// A tmpfs that is made late: its mode or contents are those of the directory that it covers.
    Tmpfs,
    /// A bind mount of something in the root file system itself, as earlier mounts have left it.
    InImage(PathBuf, Option<MapBy>),
    /// New flags for an existing mount.
    Remount,
    /// A mount that must be made with mount(2) while the host is visible, and what fsconfig(2) said, if it was tried.
    ByMount2(MountPlan, Option<Refused>),
}

/// Who maps the ids of a mount.
pub(crate) enum MapBy {
    /// The container's root, with this user namespace; `true` means including the mounts below it.
    Namespace(File, bool),
    /// The runtime, which is privileged over the host's file systems. The number is the index of the mount.
    Runtime(usize),
}

/// The bind mount of one cgroup v1 hierarchy.
pub(crate) fn hierarchy(plan: &MountPlan, name: &str, source: &Path) -> MountPlan {
    MountPlan {
        destination: plan.destination.join(name),
        kind: MountKind::Bind(source.to_owned()),
        options: MountOptions { bind: Some(Bind::Recursive), ..plan.options.clone() },
        idmap: None,
    }
}

/// Gives the copy of a bind mount's source the attributes of the mount.
pub(crate) fn attributes(plan: &MountPlan, tree: &OwnedFd) -> Result<()> {
    let stat = || "stat of the source";
    if plan.is_at("/proc") && fstatfs(tree).context(stat)?.filesystem_type() != PROC_SUPER_MAGIC {
        return Err(Error::invalid(
            "/proc has to be a proc file system; bind the host's, or mount a new one",
        ));
    }
    // Otherwise a link was followed when the source was opened.
    if plan.options.src_nofollow && is_link(tree)? {
        // Flags belong to mounts, and a bind-mounted link is not to be followed.
        return Ok(());
    }
    bind_flags::apply(tree, &plan.options)?;
    if let Some(attr) = recursive_attr(&plan.options) {
        set_attr(tree.as_fd(), true, &attr).map_err(|e| hints::attributes(e, attr))?;
    }
    Ok(())
}

/// Does the same if a link in the image has led the source elsewhere in the root file system, such as above a read-only
/// volume: no flag of what is mounted there is cleared.
pub(crate) fn attributes_by_link(plan: &MountPlan, tree: &OwnedFd) -> Result<()> {
    let mut plan = plan.clone();
    plan.options.rec_clear &= attr::ATIME;
    attributes(&plan, tree)
}

/// Whether the file is a symbolic link itself.
pub(super) fn is_link(at: &OwnedFd) -> Result<bool> {
    let mode = fstat(at.as_raw_fd()).context(|| "stat of a mount")?.st_mode;
    Ok(sys::file::kind(mode) == SFlag::S_IFLNK)
}
