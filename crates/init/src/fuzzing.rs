//! Entry points for the fuzzer (crates/fuzz): what this crate parses, without a container.

/// Counts the mounts in a mountinfo, proc_pid_mountinfo(5), that are a procfs or sysfs which nothing covers.
pub fn to_be_covered(mountinfo: &str) -> usize {
    crate::host::to_be_covered(mountinfo)
}
