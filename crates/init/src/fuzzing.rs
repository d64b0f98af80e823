//! Ways in for the fuzzer (crates/fuzz): what this crate reads, without a container.

/// How many mounts of a mountinfo, proc_pid_mountinfo(5), are a proc or a sysfs that nothing covers.
pub fn to_be_covered(mountinfo: &str) -> usize {
    crate::host::to_be_covered(mountinfo)
}
