//! With `--no-pivot` the old root stays below the new one, and with it the host's /proc and /sys.
//!
//! Nobody in the container reaches them by a path. But a proc or sysfs that nothing covers anywhere in the
//! mount namespace lets a user namespace that is made inside mount a new one, without the masks
//! (mount_namespaces(7), "Restrictions on mount namespaces"). So the old ones are covered.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

use super::paths::new_empty;
use crate::error::{Context, Result};
use crate::sys;
use crate::sys::mount::{attach, clone_tree};

/// Opens the mounts of proc and sysfs that are not in the root file system, while they can be named.
pub(super) fn open_all(rootfs: &Path) -> Result<Vec<OwnedFd>> {
    let what = || "read(\"/proc/self/mountinfo\")".to_owned();
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").context(what)?;
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let outside = mountinfo.lines().filter_map(kernel_interface).filter(|path| !path.starts_with(rootfs));
    // One that cannot be opened is covered already.
    Ok(outside.filter_map(|path| open(&path, flags, Mode::empty()).ok().map(sys::fds::adopt)).collect())
}

/// Covers them.
pub(super) fn cover(mounts: &[OwnedFd]) -> Result<()> {
    let what = || "cover a proc or sysfs of the host";
    let Some((first, others)) = mounts.split_first() else { return Ok(()) };
    let empty = new_empty().context(what)?;
    for mount in others {
        let copy = clone_tree(empty.as_fd(), false).context(what)?;
        attach(copy.as_fd(), mount.as_fd()).context(what)?;
    }
    attach(empty.as_fd(), first.as_fd()).context(what)
}

/// The mount point of a line of mountinfo that is about proc or sysfs; proc_pid_mountinfo(5).
fn kernel_interface(line: &str) -> Option<PathBuf> {
    let (before, after) = line.split_once(" - ")?;
    let kind = after.split(' ').next()?;
    let path = before.split(' ').nth(4)?;
    matches!(kind, "proc" | "sysfs").then(|| PathBuf::from(path.replace("\\040", " ").replace("\\134", "\\")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_proc_and_sysfs_count() {
        let line =
            |path: &str, kind: &str| format!("36 35 98:0 / {path} rw,noatime master:1 - {kind} none rw");
        assert_eq!(kernel_interface(&line("/proc", "proc")), Some("/proc".into()));
        assert_eq!(kernel_interface(&line("/a\\040b", "sysfs")), Some("/a b".into()));
        assert_eq!(kernel_interface(&line("/proc", "tmpfs")), None);
        assert_eq!(kernel_interface(""), None);
    }
}
