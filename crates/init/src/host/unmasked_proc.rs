//! With `--no-pivot` the old root stays mounted below the new one, and with it the host's /proc and /sys.
//!
//! No process in the container can reach them by a path. But a procfs or sysfs that is not covered, anywhere in the
//! mount namespace, lets a user namespace that is made inside mount a new one, without the masks (mount_namespaces(7),
//! "Restrictions on mount namespaces"). Therefore the old ones are covered.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use rootling_sys as sys;
use rootling_sys::mount::{MS_PRIVATE, MountAttr, attach, open_in_root, set_attr};
use rootling_sys::mountinfo::{Mount, mounts};
use rootling_sys::path::{mount_id, relative};

use crate::error::{Context, Error, Result};
use crate::mounting::filesystems::new_empty;

/// Covers every procfs and sysfs of the host, except those on the private root, which has this mount id.
pub(super) fn cover(private_root: u64) -> Result<()> {
    let what = || "read(\"/proc/self/mountinfo\")".to_owned();
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").context(what)?;
    let all: Vec<Mount<'_>> = mounts(&mountinfo).collect();
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = open("/", flags, Mode::empty()).map(sys::fds::adopt).context(|| "open(\"/\")")?;
    for mount in uncovered(&all, private_root) {
        let what = || format!("cover the host's {:?}", mount.point);
        let hidden = || {
            Error::invalid(format!(
                "--no-pivot: a proc or sysfs of the host on {:?} is hidden below another mount, where it cannot be covered: \
                 unmount it, or leave --no-pivot out",
                mount.point
            ))
        };
        let target =
            open_in_root(root.as_fd(), &relative(&mount.point), OFlag::O_PATH).map_err(|_| hidden())?;
        if mount_id(target.as_fd()).context(what)? != mount.id {
            return Err(hidden());
        }
        // If the root is shared, what is mounted on a copy of it is mounted on the root as well.
        let private = MountAttr { propagation: MS_PRIVATE, ..MountAttr::default() };
        set_attr(target.as_fd(), false, &private).context(what)?;
        let empty = new_empty(None).map_err(|e| e.wrap(what()))?;
        attach(empty.as_fd(), target.as_fd()).context(what)?;
    }
    Ok(())
}

/// The procfs and sysfs mounts that no mount at the same place covers.
fn uncovered<'m>(all: &'m [Mount<'_>], private_root: u64) -> impl Iterator<Item = &'m Mount<'m>> {
    let covers: HashSet<(u64, &Path)> = all.iter().map(|mount| (mount.parent, &*mount.point)).collect();
    all.iter().filter(move |mount| {
        matches!(mount.kind, "proc" | "sysfs")
            && mount.parent != private_root
            && !covers.contains(&(mount.id, &*mount.point))
    })
}

#[cfg(feature = "fuzzing")]
pub(crate) fn to_be_covered(mountinfo: &str) -> usize {
    uncovered(&mounts(mountinfo).collect::<Vec<_>>(), 0).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_any_number_of_mounts_those_that_are_covered_are_left_out() {
        let on = |id: u64, parent: u64, point: &str, kind: &str| {
            format!("{id} {parent} 0:1 / {point} rw - {kind} none rw\n")
        };
        // Each is mounted on the one before, except for the last three, of which one is on the private root and one in
        // the image.
        let mut text: String = (1..200_000).map(|id| on(id, id - 1, "/proc", "proc")).collect();
        text += &on(200_000, 1, "/sys", "sysfs");
        text += &on(200_001, 7_000_000, "/proc", "proc");
        text += &on(200_002, 1, "/srv", "tmpfs");
        let all: Vec<Mount<'_>> = mounts(&text).collect();
        let left: Vec<u64> = uncovered(&all, 7_000_000).map(|mount| mount.id).collect();
        assert_eq!(left, [199_999, 200_000]);
    }
}
