//! Signals as something to read, so that none is missed between a look and a wait.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use nix::errno::Errno;

/// Every signal that can be blocked, blocked, and a descriptor to read them from.
///
/// Made before the clone: what comes while the container is being made is read later.
pub struct Signals {
    fd: SignalFd,
}

impl Signals {
    /// Blocks the signals.
    pub fn block() -> Result<Self, Errno> {
        let mut all = SigSet::all();
        // Those mean a defect of ours, and must end us at once.
        for signal in [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE, Signal::SIGABRT] {
            all.remove(signal);
        }
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&all), None)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let fd = SignalFd::with_flags(&all, flags)?;
        Ok(Self { fd })
    }

    /// The next signal that has come, if any: its number and who sent it, 0 for the kernel.
    pub fn next(&self) -> Result<Option<(i32, u32)>, Errno> {
        let info = crate::retry(|| self.fd.read_signal())?;
        Ok(info.map(|i| (i.ssi_signo as i32, i.ssi_pid)))
    }

    /// A signal by which somebody asks the runtime to end, as long as nothing can be forwarded.
    pub fn is_end(signal: i32) -> bool {
        [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT].contains(&signal)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// In the child: nothing blocked, and the default action for every signal, whatever the caller had.
pub fn reset() -> Result<(), Errno> {
    crate::process::reset_signal_actions();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}
