//! File descriptors: their ownership, and closing those that must no longer be accessible.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

/// Takes ownership of a descriptor that a library has just opened and returned as a bare number.
pub fn adopt(fd: RawFd) -> OwnedFd {
    // SAFETY: only called on the fresh result of an opening call, which nobody else owns.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Runs `f` with a descriptor that is known only by its number.
pub fn with_borrowed<T>(fd: RawFd, f: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
    // SAFETY: looked at for the length of the call only; a number that is not open makes its calls fail with EBADF.
    f(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// A duplicate with the lowest free number and the close-on-exec flag.
pub fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let raw = fcntl(fd.as_raw_fd(), FcntlArg::F_DUPFD_CLOEXEC(0))?;
    // SAFETY: fcntl returned a new descriptor which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Makes execve(2) close a descriptor.
pub fn close_on_exec(fd: &impl AsRawFd) -> Result<(), Errno> {
    fcntl(fd.as_raw_fd(), FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC)).map(drop)
}

/// Clears close-on-exec on an inherited descriptor that the caller asked to keep.
pub fn keep_on_exec(fd: RawFd) -> Result<(), Errno> {
    fcntl(fd, FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).map(drop)
}

/// The numbers that [`reserve`] has taken.
static RESERVED: std::sync::Mutex<Vec<RawFd>> = std::sync::Mutex::new(Vec::new());

/// Occupies a number that is not open, so that no descriptor of ours gets it: one within the range that a
/// program is to keep. The descriptor that takes its place leads nowhere, and execve(2) closes it.
pub fn reserve(number: RawFd) -> Result<(), Errno> {
    let nothing = nix::sys::eventfd::EventFd::from_flags(nix::sys::eventfd::EfdFlags::EFD_CLOEXEC)?;
    if nothing.as_raw_fd() == number {
        std::mem::forget(nothing);
    } else {
        nix::unistd::dup3(nothing.as_raw_fd(), number, nix::fcntl::OFlag::O_CLOEXEC)?;
    }
    if let Ok(mut reserved) = RESERVED.lock() {
        reserved.push(number);
    }
    Ok(())
}

/// Whether a number was [reserved](reserve), so that the program must find it closed.
pub fn is_reserved(number: RawFd) -> bool {
    RESERVED.lock().is_ok_and(|reserved| reserved.contains(&number))
}

/// Makes `fd` the descriptor with the number `number` (0, 1 or 2).
pub fn install(fd: impl AsFd, number: RawFd) -> Result<(), Errno> {
    nix::unistd::dup2(fd.as_fd().as_raw_fd(), number).map(drop)
}

/// Closes every descriptor from 3 up that is not in `kept` (close_range(2), Linux 5.9; before that, one by
/// one).
///
/// Any other owner of a descriptor in this process must not use or drop it any more, since its number may
/// belong to another descriptor by then. This is only for a process that exits without destructors, and at a
/// point after which nothing but the kept descriptors is used.
pub fn close_all_but(kept: &[RawFd]) -> Result<(), Errno> {
    let mut kept: Vec<u32> = kept.iter().filter(|fd| **fd >= 3).map(|fd| *fd as u32).collect();
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept.into_iter().chain([u32::MAX]) {
        if let Some(last) = fd.checked_sub(1).filter(|last| first <= *last) {
            close_range(first, last)?;
        }
        first = fd.saturating_add(1);
    }
    Ok(())
}

/// Calls close_range(2) so that it closes nothing, to find out whether it can be called.
pub fn close_none() -> Result<(), Errno> {
    // SAFETY: no descriptor has the highest number of all.
    super::check(unsafe { libc::syscall(libc::SYS_close_range, u32::MAX, u32::MAX, 0) }).map(drop)
}

fn close_range(first: u32, last: u32) -> Result<(), Errno> {
    // SAFETY: takes three numbers; what the descriptors belonged to is not used any more, see above.
    match super::check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }) {
        Err(Errno::ENOSYS | Errno::EPERM) => {
            for fd in first..=last.min(most()) {
                let _ = nix::unistd::close(fd as RawFd);
            }
            Ok(())
        }
        other => other.map(drop),
    }
}

/// The highest number that a descriptor of this process can have, as far as it is worth checking.
fn most() -> u32 {
    let hard = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
        .map_or(1024, |(_, hard)| hard);
    hard.min(1 << 20) as u32
}

/// The open descriptor numbers below `limit`, found with few system calls: under a tracer, each of them takes long.
pub fn open_below(limit: RawFd) -> Vec<RawFd> {
    let soft = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)
        .map_or(1, |(soft, _)| soft.clamp(1, 4096) as usize);
    let mut all: Vec<libc::pollfd> =
        (0..limit).map(|fd| libc::pollfd { fd, events: 0, revents: 0 }).collect();
    // poll(2) takes as many as the process may have.
    for some in all.chunks_mut(soft) {
        // SAFETY: as many structures are at that address, and nothing is waited for.
        let poll = || Errno::result(unsafe { libc::poll(some.as_mut_ptr(), some.len() as libc::nfds_t, 0) });
        let _ = super::retry(poll);
    }
    all.into_iter().filter(|one| one.revents & libc::POLLNVAL == 0).map(|one| one.fd).collect()
}
