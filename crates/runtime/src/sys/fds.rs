//! File descriptors: learning which ones a library opened, and closing what must not leak.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

/// Runs `open` and returns, beside its result, duplicates of the first `N` descriptors that it
/// leaves open.
///
/// libcontainer keeps the descriptors of its channel and of its listener private, and offers
/// only waits without an end on them. The kernel hands out the lowest free number, and we have
/// one thread, so the numbers are known beforehand; each is checked to be open afterwards.
pub(crate) fn opened_by<T, E: From<Errno>, const N: usize>(
    near: BorrowedFd<'_>,
    open: impl FnOnce() -> Result<T, E>,
) -> Result<(T, [OwnedFd; N]), E> {
    let mut probes = Vec::with_capacity(N);
    for _ in 0..N {
        probes.push(duplicate(near)?);
    }
    let numbers: Vec<RawFd> = probes.iter().map(AsRawFd::as_raw_fd).collect();
    drop(probes);
    let value = open()?;
    let mut found = Vec::with_capacity(N);
    for number in numbers {
        // SAFETY: only looked at for the length of this call; a number that `open` did not use
        // after all makes the duplication fail with EBADF.
        let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
        found.push(duplicate(borrowed)?);
    }
    let found = found.try_into().map_err(|_| Errno::EBADF)?;
    Ok((value, found))
}

/// Runs `open` and returns a duplicate of the highest descriptor that it leaves open among the `count`
/// numbers that it could take first.
pub(crate) fn kept_by<T>(
    near: BorrowedFd<'_>,
    count: usize,
    open: impl FnOnce() -> T,
) -> (T, Option<OwnedFd>) {
    let probes: Vec<OwnedFd> = (0..count).filter_map(|_| duplicate(near).ok()).collect();
    let numbers: Vec<RawFd> = probes.iter().map(AsRawFd::as_raw_fd).collect();
    drop(probes);
    let value = open();
    // SAFETY: only looked at for the length of the call, and EBADF where nothing is open.
    let look = |fd: RawFd| duplicate(unsafe { BorrowedFd::borrow_raw(fd) }).ok();
    (value, numbers.into_iter().rev().find_map(look))
}

/// Takes ownership of a descriptor that a library has just opened and returned as a bare number.
pub(crate) fn adopt(fd: RawFd) -> OwnedFd {
    // SAFETY: only called on the fresh result of an opening call, which nobody else owns.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// A close-on-exec duplicate with the lowest free number.
pub(crate) fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let raw = fcntl(fd.as_raw_fd(), FcntlArg::F_DUPFD_CLOEXEC(0))?;
    // SAFETY: fcntl returned a new descriptor which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Marks every descriptor from `first` on close-on-exec (close_range(2), Linux 5.11; before that
/// one by one), so that none of the host's survives into the container (CVE-2024-21626).
pub(crate) fn close_on_exec_from(first: u32) -> Result<(), Errno> {
    // SAFETY: takes three numbers; no descriptor is closed here, only marked.
    let ret = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    match super::check(ret) {
        Err(Errno::ENOSYS | Errno::EINVAL) => mark_each(first),
        other => other.map(drop),
    }
}

/// Closes every descriptor from `first` on but one (close_range(2), Linux 5.9). Only for a process that
/// ends without destructors, which would close numbers that may be others' by then.
pub(crate) fn close_all_but(first: u32, kept: BorrowedFd<'_>) -> Result<(), Errno> {
    let kept = kept.as_raw_fd() as u32;
    for (low, high) in [(first, kept.saturating_sub(1)), (first.max(kept + 1), u32::MAX)] {
        if low <= high {
            // SAFETY: takes three numbers; what the descriptors belonged to is not used any more.
            super::check(unsafe { libc::syscall(libc::SYS_close_range, low, high, 0) })?;
        }
    }
    Ok(())
}

fn mark_each(first: u32) -> Result<(), Errno> {
    let (_, most) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)?;
    for fd in first..most.min(1 << 20) as u32 {
        let _ = fcntl(fd as RawFd, FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC));
    }
    Ok(())
}

/// Clears close-on-exec on an inherited descriptor that the caller asked to keep.
pub(crate) fn keep_on_exec(fd: RawFd) -> Result<(), Errno> {
    fcntl(fd, FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).map(drop)
}

/// Makes `fd` the descriptor with the number `number` (0, 1 or 2).
pub(crate) fn install(fd: impl AsFd, number: RawFd) -> Result<(), Errno> {
    nix::unistd::dup2(fd.as_fd().as_raw_fd(), number).map(drop)
}
