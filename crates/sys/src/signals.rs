//! Signals as something to read, so that none is missed between a check and a wait.

use std::marker::PhantomData;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libc::{c_int, signalfd_siginfo};
use nix::errno::Errno;

use crate::fds::adopt;

/// Blocks every signal that can be blocked, and reads them from a descriptor.
///
/// It is made before the clone, so that signals which arrive while the container is being made are read later.
/// It stays in the thread whose signals are blocked.
pub struct Signals {
    fd: OwnedFd,
    /// The former signal mask, to be restored.
    before: Option<Mask>,
    thread: PhantomData<*const ()>,
}

/// Signals as the kernel has them: a bit for each number, the lowest for 1. The functions of musl for sets of signals leave
/// out the number 34, which is `SIGRTMIN` for every program that is linked with glibc.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mask(u64);

impl Mask {
    const NONE: Self = Self(0);

    /// All but those that indicate a defect of ours, and must end us at once, and the two with which either C library
    /// reaches its threads.
    const fn forwarded() -> Self {
        let kept = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, 32, 33];
        let (mut mask, mut index) = (u64::MAX, 0);
        while index < kept.len() {
            mask &= !(1 << (kept[index] - 1));
            index += 1;
        }
        Self(mask)
    }

    /// rt_sigprocmask(2): changes the mask of this thread, and returns what it was.
    fn apply(self, how: c_int) -> Result<Self, Errno> {
        let mut before = Self::NONE;
        // SAFETY: both are as long as the last argument says.
        let ret = unsafe {
            libc::syscall(
                libc::SYS_rt_sigprocmask,
                how,
                &raw const self.0,
                &raw mut before.0,
                size_of::<u64>(),
            )
        };
        crate::check(ret).map(|_| before)
    }

    /// signalfd4(2).
    fn open(self) -> Result<OwnedFd, Errno> {
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: the mask is as long as the third argument says.
        let ret =
            unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const self.0, size_of::<u64>(), flags) };
        crate::check(ret).map(|fd| adopt(fd as c_int))
    }
}

impl Signals {
    /// Blocks the signals until this is dropped. Signals that have not been read by then are delivered.
    pub fn block() -> Result<Self, Errno> {
        let before = Mask::NONE.apply(libc::SIG_BLOCK)?;
        let mut signals = Self::block_for_good()?;
        signals.before = Some(before);
        Ok(signals)
    }

    /// Blocks the signals and leaves them blocked.
    pub fn block_for_good() -> Result<Self, Errno> {
        Mask::forwarded().apply(libc::SIG_BLOCK)?;
        Ok(Self { fd: Mask::forwarded().open()?, before: None, thread: PhantomData })
    }

    /// The next signal that has arrived, if any: its number and the pid of its sender, 0 for the kernel.
    pub fn next(&self) -> Result<Option<(i32, u32)>, Errno> {
        let mut info = MaybeUninit::<signalfd_siginfo>::uninit();
        let length = size_of::<signalfd_siginfo>();
        // SAFETY: there are as many bytes at that address.
        let read =
            || Errno::result(unsafe { libc::read(self.fd.as_raw_fd(), info.as_mut_ptr().cast(), length) });
        match crate::retry(read) {
            // SAFETY: signalfd(2) returns whole structures, so it has been written.
            Ok(_) => Ok(Some(unsafe { info.assume_init() }).map(|i| (i.ssi_signo as i32, i.ssi_pid))),
            Err(Errno::EAGAIN) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Whether a signal asks the runtime to end, as long as nothing can be forwarded.
    pub fn is_end(signal: i32) -> bool {
        [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT].contains(&signal)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            let _ = before.apply(libc::SIG_SETMASK);
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Starts a thread that ends at once, so that those which follow have the same signals blocked as this one: in musl, the first
/// pthread_create(3) of a process unblocks the signal 34 in this thread, and so in the new one. With glibc, nothing is needed.
pub fn start_first_thread() {
    #[cfg(target_env = "musl")]
    if let Ok(before) = Mask::NONE.apply(libc::SIG_BLOCK) {
        // Without one, whoever needs a thread will say so.
        if let Ok(thread) = std::thread::Builder::new().spawn(|| ()) {
            let _ = thread.join();
        }
        let _ = before.apply(libc::SIG_SETMASK);
    }
}

/// For the child: unblocks all signals and restores their default actions, whatever the caller's were.
pub fn reset() -> Result<(), Errno> {
    crate::actions::reset();
    Mask::NONE.apply(libc::SIG_SETMASK).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocked() -> Mask {
        Mask::NONE.apply(libc::SIG_BLOCK).expect("read the mask")
    }

    #[test]
    fn the_mask_is_what_it_was_when_they_are_dropped() {
        let before = blocked();
        let signals = Signals::block().expect("block the signals");
        for signal in [libc::SIGTERM, 34, 35, 64] {
            let bit = 1_u64 << (signal - 1);
            assert!(blocked().0 & bit != 0 && before.0 & bit == 0, "{signal}");
        }
        for signal in [libc::SIGSEGV, 32, 33] {
            assert!(blocked().0 & (1 << (signal - 1)) == 0, "{signal}");
        }
        drop(signals);
        assert_eq!(blocked(), before);
    }
}
