//! Scheduling of CPU time, I/O and memory of the calling process.

use nix::errno::Errno;

/// The fields of `struct sched_attr` (linux/sched/types.h); times are in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Named after the kernel's fields.
pub struct SchedAttr {
    pub policy: u32,
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
}

/// Calls sched_setattr(2) for the calling process.
pub fn set_scheduler(attr: &SchedAttr) -> Result<(), Errno> {
    let raw = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: attr.policy,
        sched_flags: attr.flags,
        sched_nice: attr.nice,
        sched_priority: attr.priority,
        sched_runtime: attr.runtime,
        sched_deadline: attr.deadline,
        sched_period: attr.period,
    };
    // SAFETY: the structure has the size that it names and outlives the call.
    super::check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const raw, 0) }).map(drop)
}

/// Calls ioprio_set(2) for the calling process, with class and priority in one number.
pub fn set_io_priority(priority: i32) -> Result<(), Errno> {
    // linux/ioprio.h: IOPRIO_WHO_PROCESS
    const WHO_PROCESS: libc::c_int = 1;
    // SAFETY: takes numbers only.
    super::check(unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, priority) }).map(drop)
}

/// Calls set_mempolicy(2) with the mode including its flags, and the nodes as a mask.
pub fn set_memory_policy(mode: u32, nodes: &[u64]) -> Result<(), Errno> {
    // The kernel expects the number of bits plus one, since it subtracts one: mempolicy.c, get_nodes().
    let bits = if nodes.is_empty() { 0 } else { nodes.len() * 64 + 1 };
    let mask = if nodes.is_empty() { std::ptr::null() } else { nodes.as_ptr() };
    // SAFETY: the mask has as many bits as told (the last is not read), or is null with none.
    super::check(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) }).map(drop)
}

/// Calls sched_setaffinity(2) for a process, or for the calling one if `pid` is 0, with a mask of any length.
pub fn set_affinity(pid: i32, mask: &[u64]) -> Result<(), Errno> {
    // SAFETY: pointer and length in bytes are those of a slice that outlives the call.
    let ret = unsafe { libc::syscall(libc::SYS_sched_setaffinity, pid, size_of_val(mask), mask.as_ptr()) };
    super::check(ret).map(drop)
}

/// Lets a process run on every CPU in its cpuset; best effort.
pub fn allow_all_cpus(pid: i32) {
    let _ = set_affinity(pid, &[u64::MAX; 8192 / 64]);
}

/// Calls sched_getaffinity(2) for the calling process.
pub fn affinity() -> Result<Vec<u64>, Errno> {
    // As many bits as the kernel's largest mask has (CONFIG_MAXSMP).
    let mut mask = vec![0u64; 8192 / 64];
    // SAFETY: pointer and length in bytes are those of a vector that outlives the call.
    let ret = unsafe {
        libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(mask.as_slice()), mask.as_mut_ptr())
    };
    mask.truncate(super::check(ret)? as usize / 8);
    Ok(mask)
}

/// Keeps this process, and what it clones, on the CPU that it is running on, until this is dropped. Where two processes wait for
/// each other in turn, each handover to another CPU would have to wake that up first.
pub struct OneCpu {
    before: Vec<u64>,
}

impl OneCpu {
    /// Begins to keep it there.
    pub fn hold() -> Result<Self, Errno> {
        let before = affinity()?;
        let cpu = nix::sched::sched_getcpu()?;
        let mut mask = vec![0u64; before.len().max(cpu / 64 + 1)];
        mask[cpu / 64] = 1 << (cpu % 64);
        set_affinity(0, &mask)?;
        Ok(Self { before })
    }

    /// Lets this process, which was cloned meanwhile, run where its parent could before. It fails only if none of these CPUs is in
    /// its cpuset; then the CPU that it was cloned on is not either, and the kernel has let it run on all of the cpuset
    /// (cpuset(7)).
    pub fn release_clone(&self) {
        let _ = set_affinity(0, &self.before);
    }
}

impl Drop for OneCpu {
    fn drop(&mut self) {
        let _ = set_affinity(0, &self.before);
    }
}
