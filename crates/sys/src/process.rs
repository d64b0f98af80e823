//! Credentials, signals and attributes of the calling process.

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

fn prctl(option: libc::c_int, argument: u64) -> Result<libc::c_long, Errno> {
    // SAFETY: only called with options whose argument is a number, never a pointer.
    super::check(unsafe { libc::syscall(libc::SYS_prctl, option, argument, 0, 0, 0) })
}

/// Has a command end when the process that starts it does, however that ends.
pub fn die_with_parent(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: what runs between fork and execve is one system call; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(|| set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from)) };
}

/// Removes a capability from the bounding set (`PR_CAPBSET_DROP`).
pub fn drop_bounding(capability: u8) -> Result<(), Errno> {
    prctl(libc::PR_CAPBSET_DROP, u64::from(capability)).map(drop)
}

/// Whether the bounding set has a capability; `EINVAL` when the kernel does not know it.
pub fn has_bounding(capability: u8) -> Result<bool, Errno> {
    prctl(libc::PR_CAPBSET_READ, u64::from(capability)).map(|r| r == 1)
}

/// Joins a new session keyring of this name, and lets its possessor search it (keyctl(2)).
pub fn join_session_keyring(name: &std::ffi::CStr) -> Result<i32, Errno> {
    // SAFETY: the name is a C string that outlives the call.
    let ret = unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) };
    super::check(ret).map(|serial| serial as i32)
}

/// Adds rights of the owner to those of a keyring (`KEYCTL_SETPERM`); see keyrings(7).
pub fn set_keyring_permissions(serial: i32, permissions: u32) -> Result<(), Errno> {
    // SAFETY: takes numbers only.
    let ret = unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_SETPERM, serial, permissions) };
    super::check(ret).map(drop)
}

/// setdomainname(2), which nix does not have.
pub fn set_domainname(name: &str) -> Result<(), Errno> {
    // SAFETY: pointer and length are those of a slice that outlives the call.
    super::check(unsafe { libc::syscall(libc::SYS_setdomainname, name.as_ptr(), name.len()) }).map(drop)
}

/// personality(2): the execution domain, with its flags.
pub fn set_personality(persona: u64) -> Result<(), Errno> {
    // SAFETY: takes a number only.
    super::check(unsafe { libc::syscall(libc::SYS_personality, persona) }).map(drop)
}

/// prlimit(2) by number, so that limits newer than any library's list work as well.
pub fn set_rlimit(pid: i32, resource: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the structure outlives the call; the old value is not asked for.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            pid,
            resource,
            &raw const limit,
            std::ptr::null_mut::<libc::rlimit64>(),
        )
    };
    super::check(ret).map(drop)
}

/// Soft and hard limit of a process, by number.
pub fn rlimit(pid: i32, resource: u32) -> Result<(u64, u64), Errno> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: nothing is set; the structure for the answer outlives the call.
    let ret = unsafe {
        libc::syscall(libc::SYS_prlimit64, pid, resource, std::ptr::null::<libc::rlimit64>(), &raw mut limit)
    };
    super::check(ret).map(|_| (limit.rlim_cur, limit.rlim_max))
}

/// Lets a process run on every CPU that its cpuset has (sched_setaffinity(2)); best effort.
pub fn allow_all_cpus(pid: i32) {
    let all = [u8::MAX; 1024];
    // SAFETY: the mask outlives the call and has the length that is handed over.
    unsafe { libc::syscall(libc::SYS_sched_setaffinity, pid, all.len(), all.as_ptr()) };
}

/// Lets the signals by which somebody asks a process to end do that to the first process of a pid
/// namespace as well: without an action of its own it would never notice them, pid_namespaces(7).
/// execve(2) puts the default back.
pub fn end_on_signals() {
    extern "C" fn end(signal: libc::c_int) {
        // SAFETY: _exit is async-signal-safe and does not return.
        unsafe { libc::_exit(128 + signal) }
    }
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
        // SAFETY: the handler calls nothing but _exit.
        unsafe { libc::signal(signal, end as extern "C" fn(libc::c_int) as libc::sighandler_t) };
    }
}

/// Gives every signal its default action, whatever the caller had: execve(2) keeps what is ignored, and the Rust
/// runtime ignores SIGPIPE.
pub fn reset_signal_actions() {
    // SIGKILL and SIGSTOP have no other action; real-time signals end at 64 on Linux. By the system call itself, since
    // the C library keeps two signals from its callers.
    let default = [0u64; 4];
    for signal in (1..=64).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        // SAFETY: all zeroes is SIG_DFL with no flags and an empty mask, whatever the order of the fields in the
        // kernel's structure of at most 32 bytes; a mask has 8 bytes. No handler is installed.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<u64>(),
                8usize,
            )
        };
    }
}

/// Gives SIGCHLD its default action: a caller that ignores it would have the kernel reap our children, and their
/// exit codes with them (wait(2)).
pub fn default_sigchld() {
    // SAFETY: SIG_DFL installs no handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Makes writing to a pipe that nobody reads fail with EPIPE instead of ending the process; what
/// [`restore_broken_pipes`] takes.
pub fn ignore_broken_pipes() -> libc::sighandler_t {
    // SAFETY: SIG_IGN installs no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) }
}

/// Puts back what [`ignore_broken_pipes`] has found.
pub fn restore_broken_pipes(before: libc::sighandler_t) {
    if before != libc::SIG_ERR {
        // SAFETY: an action that was in force in this very process.
        unsafe { libc::signal(libc::SIGPIPE, before) };
    }
}

/// `pidfd_open(2)`, Linux 5.3.
pub fn pidfd_open(pid: i32) -> Result<std::os::fd::OwnedFd, Errno> {
    use std::os::fd::FromRawFd;
    // SAFETY: takes numbers only.
    let fd = super::check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the kernel returned a new descriptor which nobody else owns.
    Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(fd as i32) })
}

/// `pidfd_send_signal(2)`, Linux 5.1: signals the very process, never one that reuses its pid. Only where a filter refuses
/// that call it is kill(2), with the number that the descriptor has at that moment.
pub fn pidfd_send_signal(pidfd: std::os::fd::BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo makes the kernel fill it in as kill(2) does.
    let ret = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, 0) };
    match super::check(ret).map(drop) {
        // A filter around this process may know no such call; what the kernel itself refuses, it refuses kill(2), too.
        Err(errno @ (Errno::ENOSYS | Errno::EPERM)) => match pid_of(pidfd) {
            Some(pid) => {
                kill(pid, signal).map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(errno as i32)))
            }
            None => Err(errno),
        },
        other => other,
    }
}

/// The number of a process that lives, by the `Pid` of its descriptor (proc_pid_fdinfo(5)): it is -1 for one that is gone,
/// and 0 for one of another pid namespace.
fn pid_of(pidfd: std::os::fd::BorrowedFd<'_>) -> Option<i32> {
    use std::os::fd::AsRawFd;
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()?;
    (pid > 0).then_some(pid)
}

/// `pidfd_getfd(2)`, Linux 5.6: a duplicate of another process's descriptor.
pub fn pidfd_getfd(pidfd: std::os::fd::BorrowedFd<'_>, number: i32) -> Result<std::os::fd::OwnedFd, Errno> {
    use std::os::fd::{AsRawFd, FromRawFd};
    // SAFETY: takes numbers only.
    let fd = super::check(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0) })?;
    // SAFETY: the kernel returned a new descriptor which nobody else owns.
    Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(fd as i32) })
}

/// kill(2). By number, since the real-time signals have no name in nix.
pub fn kill(pid: i32, signal: i32) -> std::io::Result<()> {
    // SAFETY: kill takes two integers and touches no memory of ours.
    match unsafe { libc::kill(pid, signal) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Final capability sets in one call, as bit sets (capset(2)).
pub fn set_capabilities(effective: u64, permitted: u64, inheritable: u64) -> Result<(), Errno> {
    // linux/capability.h: _LINUX_CAPABILITY_VERSION_3, two words of 32 capabilities each.
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Word {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    let word = |shift: u32| Word {
        effective: (effective >> shift) as u32,
        permitted: (permitted >> shift) as u32,
        inheritable: (inheritable >> shift) as u32,
    };
    let header = Header { version: 0x2008_0522, pid: 0 };
    let words = [word(0), word(32)];
    // SAFETY: header and both words have the layout of version 3 and outlive the call, which only reads them.
    let ret = unsafe { libc::syscall(libc::SYS_capset, &raw const header, words.as_ptr()) };
    super::check(ret).map(drop)
}
