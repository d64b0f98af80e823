//! Hosts and directories for targets that need them.

use std::path::PathBuf;

use rootling_rootless::host::{Fixture, NodeKind};

/// The callers for whom specs are adapted differently: root, an ordinary user with and one without ranges of ids,
/// and root of a user namespace.
pub(super) fn hosts() -> [Fixture; 4] {
    let with_ranges = Fixture::ordinary(1000)
        .file("/etc/passwd", "alice:x:1000:1000::/home/alice:/bin/sh\n")
        .file("/etc/subuid", "alice:100000:65536\n")
        .file("/etc/subgid", "alice:100000:65536\n")
        .file("/proc/self/cgroup", "0::/mine\n")
        .fs("/sys/fs/cgroup", 0x6367_7270)
        .cgroup("/sys/fs/cgroup/mine", "cpuset cpu io memory hugetlb pids rdma misc")
        .id_helpers();
    let nested = Fixture::root_in_user_namespace(1000)
        .file("/proc/self/uid_map", "0 0 4000000\n")
        .file("/proc/self/gid_map", "0 0 4000000\n")
        .file("/proc/self/setgroups", "allow\n");
    [Fixture::ordinary(0), with_ranges, Fixture::ordinary(1000), nested].map(|host| {
        host.file("/proc/self/oom_score_adj", "0\n")
            .device("/dev/fuse", NodeKind::Char, 10, 229)
            .device("/dev/pipe", NodeKind::Fifo, 0, 0)
            .file("/sys/module/apparmor/parameters/enabled", "Y\n")
            .file("/sys/fs/selinux/enforce", "1")
    })
}

/// A directory that is removed when it is dropped; in memory if possible.
pub(super) fn directory() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("make a directory")
}

/// A number for making choices that is derived from an input.
pub(super) fn choice(input: &[u8], of: usize) -> usize {
    let sum = input.iter().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)));
    (sum >> 8) as usize % of
}
