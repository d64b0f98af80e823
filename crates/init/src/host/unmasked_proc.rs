//! With `--no-pivot` the old root stays below the new one, and with it the host's /proc and /sys.
//!
//! Nobody in the container reaches them by a path. But a proc or sysfs that nothing covers anywhere in the
//! mount namespace lets a user namespace that is made inside mount a new one, without the masks
//! (mount_namespaces(7), "Restrictions on mount namespaces"). So the old ones are covered.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::statfs::{PROC_SUPER_MAGIC, SYSFS_MAGIC, fstatfs};

use rootling_sys as sys;
use rootling_sys::mount::{MountAttr, attach, open_in_root, set_attr};
use rootling_sys::path::relative;

use crate::error::{Context, Result};
use crate::mounting::filesystems::new_empty;

/// The old root, and where it has proc and sysfs.
pub(super) struct Unmasked {
    root: OwnedFd,
    paths: Vec<PathBuf>,
}

/// Looks for them, while mountinfo can be read.
pub(super) fn find() -> Result<Unmasked> {
    let what = || "read(\"/proc/self/mountinfo\")".to_owned();
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").context(what)?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = open("/", flags, Mode::empty()).map(sys::fds::adopt).context(|| "open(\"/\")")?;
    Ok(Unmasked { root, paths: mountinfo.lines().filter_map(kernel_interface).collect() })
}

/// Covers them.
pub(super) fn cover(unmasked: &Unmasked) -> Result<()> {
    for path in &unmasked.paths {
        let Ok(target) = open_in_root(unmasked.root.as_fd(), &relative(path), libc::O_PATH) else { continue };
        let what = || format!("cover the host's {path:?}");
        let kind = fstatfs(&target).context(what)?.filesystem_type();
        if kind == PROC_SUPER_MAGIC || kind == SYSFS_MAGIC {
            // Where the root is shared, what is mounted on a copy of it is mounted on the root as well.
            let private = MountAttr { propagation: libc::MS_PRIVATE, ..MountAttr::default() };
            set_attr(target.as_fd(), false, &private).context(what)?;
            let empty = new_empty().context(what)?;
            attach(empty.as_fd(), target.as_fd()).context(what)?;
        }
    }
    Ok(())
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
