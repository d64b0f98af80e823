//! Credentials, signals and attributes of the calling process.

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

fn prctl(option: libc::c_int, argument: u64) -> Result<libc::c_long, Errno> {
    // SAFETY: only called with options whose argument is a number, never a pointer.
    super::check(unsafe { libc::syscall(libc::SYS_prctl, option, argument, 0, 0, 0) })
}

/// Makes a command end when the process that starts it ends for any reason.
pub fn die_with_parent(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: what runs between fork and execve is one system call; it allocates nothing and takes no lock.
    unsafe { command.pre_exec(|| set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from)) };
}

/// Sends a signal to the calling thread, as raise(3) does, but asks the kernel which one that is.
pub fn raise(signal: i32) -> i32 {
    // SAFETY: takes numbers only.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), libc::syscall(libc::SYS_gettid), signal) as i32 }
}

/// Ends the process as abort(3) does, by [`raise`].
pub fn abort() -> ! {
    // SAFETY: SIG_DFL installs no handler, and the set is initialised before it is used.
    unsafe {
        libc::signal(libc::SIGABRT, libc::SIG_DFL);
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGABRT);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
    }
    raise(libc::SIGABRT);
    // The first process of a pid namespace gets no signal from itself that it does not handle.
    super::exec::exit_now(128 + libc::SIGABRT)
}

/// Removes a capability from the bounding set (`PR_CAPBSET_DROP`).
pub fn drop_bounding(capability: u8) -> Result<(), Errno> {
    prctl(libc::PR_CAPBSET_DROP, u64::from(capability)).map(drop)
}

/// Whether the bounding set contains a capability; `EINVAL` if the kernel does not know it.
pub fn has_bounding(capability: u8) -> Result<bool, Errno> {
    prctl(libc::PR_CAPBSET_READ, u64::from(capability)).map(|r| r == 1)
}

/// Joins the session keyring with this name, making it if it does not exist (`KEYCTL_JOIN_SESSION_KEYRING`,
/// keyctl(2)).
pub fn join_session_keyring(name: &std::ffi::CStr) -> Result<i32, Errno> {
    // SAFETY: the name is a C string that outlives the call.
    let ret = unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) };
    super::check(ret).map(|serial| serial as i32)
}

/// Sets the permissions of a keyring (`KEYCTL_SETPERM`); see keyrings(7).
pub fn set_keyring_permissions(serial: i32, permissions: u32) -> Result<(), Errno> {
    // SAFETY: takes numbers only.
    let ret = unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_SETPERM, serial, permissions) };
    super::check(ret).map(drop)
}

/// Calls setdomainname(2), which nix lacks.
pub fn set_domainname(name: &str) -> Result<(), Errno> {
    // SAFETY: pointer and length are those of a slice that outlives the call.
    super::check(unsafe { libc::syscall(libc::SYS_setdomainname, name.as_ptr(), name.len()) }).map(drop)
}

/// Calls personality(2) with the execution domain and its flags.
pub fn set_personality(persona: u64) -> Result<(), Errno> {
    // SAFETY: takes a number only.
    super::check(unsafe { libc::syscall(libc::SYS_personality, persona) }).map(drop)
}

/// Calls prlimit(2) by number, so that limits newer than any library's list work as well.
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

/// The soft and the hard limit of a process, by number.
pub fn rlimit(pid: i32, resource: u32) -> Result<(u64, u64), Errno> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: nothing is set; the structure for the answer outlives the call.
    let ret = unsafe {
        libc::syscall(libc::SYS_prlimit64, pid, resource, std::ptr::null::<libc::rlimit64>(), &raw mut limit)
    };
    super::check(ret).map(|_| (limit.rlim_cur, limit.rlim_max))
}

/// Makes the signals that ask a process to end work for the first process of a pid namespace as well, which
/// without a handler would never notice them; pid_namespaces(7). execve(2) restores the default.
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

/// Gives SIGCHLD its default action: if the caller ignores it, the kernel would reap our children and discard
/// their exit codes (wait(2)).
pub fn default_sigchld() {
    // SAFETY: SIG_DFL installs no handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

/// Makes a write beyond RLIMIT_FSIZE fail with EFBIG instead of ending the process (setrlimit(2)); returns the former
/// action for [`restore_file_size_signal`].
pub fn ignore_file_size_signal() -> libc::sighandler_t {
    // SAFETY: SIG_IGN installs no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) }
}

/// Sets the action that [`ignore_file_size_signal`] has returned.
pub fn restore_file_size_signal(before: libc::sighandler_t) {
    // SAFETY: the action was the one before, so it is valid.
    unsafe { libc::signal(libc::SIGXFSZ, before) };
}

/// Makes a write to a pipe that nobody reads fail with EPIPE instead of ending the process; returns the former
/// action for [`restore_broken_pipes`].
pub fn ignore_broken_pipes() -> libc::sighandler_t {
    // SAFETY: SIG_IGN installs no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) }
}

/// Restores the action that [`ignore_broken_pipes`] has returned.
pub fn restore_broken_pipes(before: libc::sighandler_t) {
    if before != libc::SIG_ERR {
        // SAFETY: an action that was in force in this very process.
        unsafe { libc::signal(libc::SIGPIPE, before) };
    }
}

/// Calls `pidfd_open(2)`, Linux 5.3.
pub fn pidfd_open(pid: i32) -> Result<std::os::fd::OwnedFd, Errno> {
    use std::os::fd::FromRawFd;
    // SAFETY: takes numbers only.
    let fd = super::check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the kernel returned a new descriptor which nobody else owns.
    Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(fd as i32) })
}

/// Calls `pidfd_send_signal(2)`, Linux 5.1, which signals the very process and never another one that reuses
/// its pid. Only if a filter refuses that call, it uses kill(2) with the pid that the descriptor has at that
/// moment.
pub fn pidfd_send_signal(pidfd: std::os::fd::BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    use std::os::fd::AsRawFd;
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo makes the kernel fill it in as kill(2) does.
    let ret = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_info, 0) };
    match super::check(ret).map(drop) {
        // A filter around this process may not know the call; what the kernel itself refuses here, it also
        // refuses for kill(2).
        Err(errno @ (Errno::ENOSYS | Errno::EPERM)) => match pid_of(pidfd) {
            Some(pid) => {
                kill(pid, signal).map_err(|e| Errno::from_raw(e.raw_os_error().unwrap_or(errno as i32)))
            }
            None => Err(errno),
        },
        other => other,
    }
}

/// The pid of a process that is alive, from the `Pid` of its descriptor (proc_pid_fdinfo(5)): it is -1 for one
/// that is gone, and 0 for one in another pid namespace.
fn pid_of(pidfd: std::os::fd::BorrowedFd<'_>) -> Option<i32> {
    use std::os::fd::AsRawFd;
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()?;
    (pid > 0).then_some(pid)
}

/// Duplicates a descriptor of another process with `pidfd_getfd(2)`, Linux 5.6.
pub fn pidfd_getfd(pidfd: std::os::fd::BorrowedFd<'_>, number: i32) -> Result<std::os::fd::OwnedFd, Errno> {
    use std::os::fd::{AsRawFd, FromRawFd};
    // SAFETY: takes numbers only.
    let fd = super::check(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0) })?;
    // SAFETY: the kernel returned a new descriptor which nobody else owns.
    Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(fd as i32) })
}

/// Calls kill(2) with a number, since nix has no names for the real-time signals.
pub fn kill(pid: i32, signal: i32) -> std::io::Result<()> {
    // SAFETY: kill takes two integers and touches no memory of ours.
    match unsafe { libc::kill(pid, signal) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Sets the final capability sets in one call, as bit sets (capset(2)).
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
