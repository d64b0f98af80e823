//! Signals as something to read, so that none is missed between a look and a wait.

use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use nix::errno::Errno;

/// Every signal that can be blocked, blocked, and a descriptor to read them from.
///
/// Made before the clone: what comes while the container is being made is read later. It stays in the thread whose signals
/// are blocked.
pub struct Signals {
    fd: SignalFd,
    /// What was blocked before, to be restored.
    before: Option<SigSet>,
    thread: PhantomData<*const ()>,
}

impl Signals {
    /// Blocks the signals until this is dropped. What has come by then and was not read is delivered.
    pub fn block() -> Result<Self, Errno> {
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, None, Some(&mut before))?;
        let mut signals = Self::block_for_good()?;
        signals.before = Some(before);
        Ok(signals)
    }

    /// Blocks the signals, and leaves them blocked.
    pub fn block_for_good() -> Result<Self, Errno> {
        let mut all = SigSet::all();
        // Those mean a defect of ours, and must end us at once.
        for signal in [Signal::SIGSEGV, Signal::SIGBUS, Signal::SIGILL, Signal::SIGFPE, Signal::SIGABRT] {
            all.remove(signal);
        }
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&all), None)?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let fd = SignalFd::with_flags(&all, flags)?;
        Ok(Self { fd, before: None, thread: PhantomData })
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

/// In the child: nothing blocked, and the default action for every signal, whatever the caller had.
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
