//! With `--no-pivot` the old root stays below the new one, and with it the host's /proc and /sys.
//!
//! Nobody in the container reaches them by a path. But a proc or sysfs that nothing covers anywhere in the
//! mount namespace lets a user namespace that is made inside mount a new one, without the masks
//! (mount_namespaces(7), "Restrictions on mount namespaces"). So the old ones are covered.

use std::borrow::Cow;
use std::collections::HashSet;
use std::os::fd::AsFd;
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use rootling_sys as sys;
use rootling_sys::mount::{MountAttr, attach, open_in_root, set_attr};
use rootling_sys::mountinfo::mounts;
use rootling_sys::path::{identity, relative};

use crate::error::{Context, Error, Result};
use crate::mounting::filesystems::new_empty;

/// What matters of a mount.
struct Line<'a> {
    id: u64,
    parent: u64,
    path: Cow<'a, Path>,
    kernels_own: bool,
}

/// Covers every proc and sysfs of the host, but for those that lie on the private root, the mount of this id.
pub(super) fn cover(private_root: u64) -> Result<()> {
    let what = || "read(\"/proc/self/mountinfo\")".to_owned();
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").context(what)?;
    let lines = lines(&mountinfo);
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = open("/", flags, Mode::empty()).map(sys::fds::adopt).context(|| "open(\"/\")")?;
    for mount in uncovered(&lines, private_root) {
        let what = || format!("cover the host's {:?}", mount.path);
        let hidden = || {
            Error::invalid(format!(
                "--no-pivot: a proc or sysfs of the host on {:?} is hidden below another mount, where it cannot be covered: \
                 unmount it, or leave --no-pivot out",
                mount.path
            ))
        };
        let target =
            open_in_root(root.as_fd(), &relative(&mount.path), libc::O_PATH).map_err(|_| hidden())?;
        if identity(target.as_fd()).context(what)?.mount() != mount.id {
            return Err(hidden());
        }
        // Where the root is shared, what is mounted on a copy of it is mounted on the root as well.
        let private = MountAttr { propagation: libc::MS_PRIVATE, ..MountAttr::default() };
        set_attr(target.as_fd(), false, &private).context(what)?;
        let empty = new_empty().context(what)?;
        attach(empty.as_fd(), target.as_fd()).context(what)?;
    }
    Ok(())
}

/// The kernel's own file systems that no mount in the same place covers.
fn uncovered<'l>(lines: &'l [Line<'_>], private_root: u64) -> impl Iterator<Item = &'l Line<'l>> {
    let covers: HashSet<(u64, &Path)> = lines.iter().map(|line| (line.parent, &*line.path)).collect();
    lines.iter().filter(move |line| {
        line.kernels_own && line.parent != private_root && !covers.contains(&(line.id, &*line.path))
    })
}

#[cfg(feature = "fuzzing")]
pub(crate) fn to_be_covered(mountinfo: &str) -> usize {
    uncovered(&lines(mountinfo), 0).count()
}

fn lines(mountinfo: &str) -> Vec<Line<'_>> {
    let kernels_own = |kind| matches!(kind, "proc" | "sysfs");
    mounts(mountinfo)
        .map(|mount| Line {
            id: mount.id,
            parent: mount.parent,
            path: mount.point(),
            kernels_own: kernels_own(mount.kind),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_any_number_of_mounts_those_that_are_covered_are_left_out() {
        let proc = |id, parent| Line { id, parent, path: Path::new("/proc").into(), kernels_own: true };
        // Each on the one before, but for the last two, of which one is on the private root.
        let mut lines: Vec<Line<'_>> = (1..200_000).map(|id| proc(id, id - 1)).collect();
        lines.push(Line { path: Path::new("/sys").into(), ..proc(200_000, 1) });
        lines.push(proc(200_001, 7_000_000));
        let left: Vec<u64> = uncovered(&lines, 7_000_000).map(|line| line.id).collect();
        assert_eq!(left, [199_999, 200_000]);
    }

    #[test]
    fn proc_and_sysfs_are_the_kernels_own() {
        let text = ["proc", "sysfs", "tmpfs"]
            .map(|kind| format!("36 35 98:0 / /a\\040b rw - {kind} none rw\n"))
            .concat();
        let lines = lines(&text);
        assert_eq!(lines.iter().map(|line| line.kernels_own).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(lines[0].path, Path::new("/a b"));
    }
}
