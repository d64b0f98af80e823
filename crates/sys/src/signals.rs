//! Signals as something to read, so that none is missed between a check and a wait.

use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use nix::errno::Errno;

/// Blocks every signal that can be blocked, and reads them from a descriptor.
///
/// It is made before the clone, so that signals which arrive while the container is being made are read later.
/// It stays in the thread whose signals are blocked.
pub struct Signals {
    fd: SignalFd,
    /// The former signal mask, to be restored.
    before: Option<SigSet>,
    thread: PhantomData<*const ()>,
}

impl Signals {
    /// Blocks the signals until this is dropped. Signals that have not been read by then are delivered.
    pub fn block() -> Result<Self, Errno> {
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, None, Some(&mut before))?;
        let mut signals = Self::block_for_good()?;
        signals.before = Some(before);
        Ok(signals)
    }

    /// Blocks the signals and leaves them blocked.
    pub fn block_for_good() -> Result<Self, Errno> {
        let mut all = SigSet::all();
        // These signals indicate a defect of ours, and must end us at once.
        for signal in [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE, Signal::SIGABRT] {
            all.remove(signal);
        }
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&all), None)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let fd = SignalFd::with_flags(&all, flags)?;
        Ok(Self { fd, before: None, thread: PhantomData })
    }

    /// The next signal that has arrived, if any: its number and the pid of its sender, 0 for the kernel.
    pub fn next(&self) -> Result<Option<(i32, u32)>, Errno> {
        let info = crate::retry(|| self.fd.read_signal())?;
        Ok(info.map(|i| (i.ssi_signo as i32, i.ssi_pid)))
    }

    /// Whether a signal asks the runtime to end, as long as nothing can be forwarded.
    pub fn is_end(signal: i32) -> bool {
        [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT].contains(&signal)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(before), None);
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// For the child: unblocks all signals and restores their default actions, whatever the caller's were.
pub fn reset() -> Result<(), Errno> {
    crate::process::reset_signal_actions();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked() -> SigSet {
        let mut mask = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, None, Some(&mut mask)).expect("read the mask");
        mask
    }

    #[test]
    fn the_mask_is_what_it_was_when_they_are_dropped() {
        let before = blocked();
        let signals = Signals::block().expect("block the signals");
        assert!(blocked().contains(Signal::SIGTERM) && !before.contains(Signal::SIGTERM));
        drop(signals);
        assert_eq!(blocked(), before);
    }
}
