//! Actions of signals, changed by system calls: a C library reserves two or three signals for itself.

use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

/// Gives every signal its default action, whatever the caller's was: execve(2) keeps ignored signals ignored,
/// and the Rust runtime ignores SIGPIPE.
pub(crate) fn reset() {
    // Nothing is left to be restored: a profile of the container may end the process for another call before execve(2).
    IGNORED.store(0, Relaxed);
    // SIGKILL and SIGSTOP have no other action; real-time signals end at 64 on Linux.
    for signal in (1..=64).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        set_action(signal, libc::SIG_DFL);
    }
}

/// The signal that [`ignore_until_execution`] has ignored, or 0.
static IGNORED: AtomicI32 = AtomicI32::new(0);

/// Ignores a signal, even one that the C library reserves for itself, for as long as this program runs: what it executes gets the
/// action that its own caller had chosen. As any, it is read from a signalfd nevertheless while it is blocked.
pub(crate) fn ignore_until_execution(signal: libc::c_int) {
    if set_action(signal, libc::SIG_IGN) == libc::SIG_DFL {
        IGNORED.store(signal, Relaxed);
    }
}

/// To be called before execve(2). In the child of a vfork(2) as well: it has actions of its own.
pub(crate) fn restore_before_execution() {
    let signal = IGNORED.load(Relaxed);
    if signal != 0 {
        set_action(signal, libc::SIG_DFL);
    }
}

/// Returns the former action. No handler is possible.
fn set_action(signal: libc::c_int, action: libc::sighandler_t) -> libc::sighandler_t {
    debug_assert!([libc::SIG_DFL, libc::SIG_IGN].contains(&action), "a handler needs more than its address");
    let action = [action as u64, 0, 0, 0];
    let mut before = [0_u64; 4];
    // SAFETY: the action comes first in the kernel's structure of at most 32 bytes; the rest is no flags and an empty mask,
    // whatever their order, and a mask has 8 bytes. No handler is installed.
    unsafe {
        libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), before.as_mut_ptr(), size_of::<u64>())
    };
    before[0] as libc::sighandler_t
}
