//! Waiting for descriptors: every wait has an end, and is retried where a signal interrupts it.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Which of the descriptors are readable or have ended, when at least one is; all false where the time is over.
/// `None`: without a limit, so that something among them has to be what ends it.
pub fn readable<const N: usize>(
    fds: [Option<BorrowedFd<'_>>; N],
    limit: Option<Duration>,
) -> Result<[bool; N], Errno> {
    let end = limit.map(|limit| Instant::now() + limit);
    let mut polled: Vec<PollFd<'_>> =
        fds.iter().flatten().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    loop {
        let timeout = end.map_or(PollTimeout::NONE, |end| {
            let left = end.saturating_duration_since(Instant::now());
            // Rounded up, so that the last millisecond is no busy loop.
            PollTimeout::try_from(left.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut polled, timeout) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) => break,
        }
    }
    let mut events = polled.iter().map(|fd| fd.any().unwrap_or(false));
    Ok(fds.map(|fd| fd.is_some() && events.next().unwrap_or(false)))
}

/// Waits until a descriptor is readable (a pidfd: until the process has ended), at most so long.
pub fn wait_readable(fd: BorrowedFd<'_>, limit: Duration) -> Result<bool, Errno> {
    readable([Some(fd)], Some(limit)).map(|[ready]| ready)
}
