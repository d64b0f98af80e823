//! Scheduling of CPU time, I/O and memory of the calling process.

use nix::errno::Errno;
use rootling_config::process::scheduling::SchedAttr;

/// sched_setattr(2) for the calling process.
pub(crate) fn set_scheduler(attr: &SchedAttr) -> Result<(), Errno> {
    // SAFETY: sched_attr is plain data for which all zeroes is valid.
    let mut raw: libc::sched_attr = unsafe { std::mem::zeroed() };
    raw.size = size_of::<libc::sched_attr>() as u32;
    raw.sched_policy = attr.policy;
    raw.sched_flags = attr.flags;
    raw.sched_nice = attr.nice;
    raw.sched_priority = attr.priority;
    raw.sched_runtime = attr.runtime;
    raw.sched_deadline = attr.deadline;
    raw.sched_period = attr.period;
    // SAFETY: the structure has the size that it names and outlives the call.
    super::check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const raw, 0) }).map(drop)
}

/// ioprio_set(2) for the calling process: class and priority in one number.
pub(crate) fn set_io_priority(priority: i32) -> Result<(), Errno> {
    // linux/ioprio.h: IOPRIO_WHO_PROCESS
    const WHO_PROCESS: libc::c_int = 1;
    // SAFETY: takes numbers only.
    super::check(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, priority) }).map(drop)
}

/// set_mempolicy(2): mode with its flags, and the nodes as a mask.
pub(crate) fn set_memory_policy(mode: u32, nodes: &[u64]) -> Result<(), Errno> {
    // The kernel takes the number of bits, and one less than told: mempolicy.c, get_nodes().
    let bits = if nodes.is_empty() { 0 } else { nodes.len() * 64 + 1 };
    let mask = if nodes.is_empty() { std::ptr::null() } else { nodes.as_ptr() };
    // SAFETY: the mask has as many bits as told (the last is not read), or is null with none.
    super::check(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) }).map(drop)
}

/// sched_setaffinity(2) of a process, 0 for the calling one, by a mask of any length.
pub(crate) fn set_affinity(pid: i32, mask: &[u64]) -> Result<(), Errno> {
    // SAFETY: pointer and length in bytes are those of a slice that outlives the call.
    let ret = unsafe { libc::syscall(libc::SYS_sched_setaffinity, pid, size_of_val(mask), mask.as_ptr()) };
    super::check(ret).map(drop)
}

/// sched_getaffinity(2) of the calling process.
pub(crate) fn affinity() -> Result<Vec<u64>, Errno> {
    // As many as the kernel's largest mask has (CONFIG_MAXSMP).
    let mut mask = vec![0u64; 8192 / 64];
    // SAFETY: pointer and length in bytes are those of a vector that outlives the call.
    let ret = unsafe {
        libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(mask.as_slice()), mask.as_mut_ptr())
    };
    mask.truncate(super::check(ret)? as usize / 8);
    Ok(mask)
}
