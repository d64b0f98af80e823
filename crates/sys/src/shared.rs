//! A number in memory that two processes share: what one has to tell another without a system call.

use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;

/// A number that a process and those that it clones afterwards see alike. It is never unmapped but by execve(2) and
/// the end of the process.
#[derive(Clone, Copy)]
pub struct Shared(&'static AtomicU32);

impl Shared {
    /// A number that is 0.
    pub fn new() -> Result<Self, Errno> {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new anonymous mapping, which nothing else refers to.
        let memory =
            unsafe { libc::mmap(std::ptr::null_mut(), size_of::<AtomicU32>(), protection, flags, -1, 0) };
        if memory == libc::MAP_FAILED {
            return Err(Errno::last());
        }
        // SAFETY: the mapping is at the start of a page, so aligned; it is zeroed, which is a valid value, large
        // enough, and stays until the process ends or executes another program.
        Ok(Self(unsafe { &*memory.cast::<AtomicU32>() }))
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// Changes it.
    pub fn set(self, value: u32) {
        self.0.store(value, Ordering::Release);
    }
}

/// Lets others run for a moment; what a seccomp filter thinks of that is of no importance.
pub fn pause() {
    let moment = libc::timespec { tv_sec: 0, tv_nsec: 100_000 };
    // SAFETY: the structure outlives the call, and what is left of the time is not asked for.
    unsafe { libc::syscall(libc::SYS_nanosleep, &raw const moment, std::ptr::null_mut::<libc::timespec>()) };
    std::hint::spin_loop();
}
