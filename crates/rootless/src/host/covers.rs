//! Mounts that cover parts of /proc and /sys; proc_pid_mountinfo(5).

use std::path::Path;

use rootling_sys::mountinfo::mounts;

/// Directories that exist to be mounted on, and are empty: the kernel's `sysfs_create_mount_point` and
/// `proc_create_mount_point`. A mount on one of them covers nothing.
const MOUNT_POINTS: [&str; 13] = [
    "/proc/fs/nfsd",
    "/proc/sys/fs/binfmt_misc",
    "/sys/firmware/efi/efivars",
    "/sys/fs/bpf",
    "/sys/fs/cgroup",
    "/sys/fs/fuse/connections",
    "/sys/fs/pstore",
    "/sys/fs/resctrl",
    "/sys/fs/selinux",
    "/sys/kernel/config",
    "/sys/kernel/debug",
    "/sys/kernel/security",
    "/sys/kernel/tracing",
];

/// Whether any mount covers a part of the file system that is mounted on `top`.
pub(super) fn any_below(mountinfo: &str, top: &str) -> bool {
    let points = mounts(mountinfo).map(|mount| mount.point);
    let mut below = points.filter(|point| point.starts_with(top) && **point != *Path::new(top));
    below.any(|point| !MOUNT_POINTS.iter().any(|known| point.starts_with(known)))
}
