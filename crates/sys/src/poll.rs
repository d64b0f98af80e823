//! Waits for descriptors: every wait has an end, and is restarted if a signal interrupts it.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Waits until at least one of the descriptors is readable or has ended, and returns which of them are; all are
/// false if the time is up. With `None` there is no limit, so one of the descriptors must be certain to end the
/// wait. If one of them shows an end, the others show everything that happened before it.
pub fn readable<const N: usize>(
    fds: [Option<BorrowedFd<'_>>; N],
    limit: Option<Duration>,
) -> Result<[bool; N], Errno> {
    let end = limit.map(|limit| Instant::now() + limit);
    let mut polled: Vec<PollFd<'_>> =
        fds.iter().flatten().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    let ready = wait(&mut polled, || {
        end.map_or(PollTimeout::NONE, |end| {
            let left = end.saturating_duration_since(Instant::now());
            // Rounded up, so that the last millisecond is not a busy loop.
            PollTimeout::try_from(left.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX)
        })
    })?;
    if ready > 0 && ready < polled.len() {
        // The kernel checks one after the other: a process may have sent its last message after its channel was
        // checked, and may have ended before its pidfd was. What is ready remains so.
        wait(&mut polled, || PollTimeout::ZERO)?;
    }
    let mut events = polled.iter().map(|fd| fd.any().unwrap_or(false));
    Ok(fds.map(|fd| fd.is_some() && events.next().unwrap_or(false)))
}

/// Calls poll(2), again if a signal interrupts it; returns how many are ready.
fn wait(polled: &mut [PollFd<'_>], timeout: impl Fn() -> PollTimeout) -> Result<usize, Errno> {
    loop {
        match poll(polled, timeout()) {
            Err(Errno::EINTR) => {}
            result => return result.map(|ready| ready as usize),
        }
    }
}

/// Waits at most for `limit` until a descriptor is readable (for a pidfd: until the process has ended).
pub fn wait_readable(fd: BorrowedFd<'_>, limit: Duration) -> Result<bool, Errno> {
    readable([Some(fd)], Some(limit)).map(|[ready]| ready)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::sync::Barrier;

    use super::*;

    /// Whoever sees the end of a process also sees its last message, however the two coincide in a single
    /// poll(2).
    #[test]
    fn what_came_before_an_end_shows_with_the_end() {
        // Placed between the two in question, so that the kernel takes a long time from one to the other.
        const OTHERS: usize = 500;
        let (quiet, _other) = UnixStream::pair().unwrap();
        for moment in 0..2000 {
            let (words, mut writer) = UnixStream::pair().unwrap();
            let (end, ender) = UnixStream::pair().unwrap();
            let barrier = Barrier::new(2);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    barrier.wait();
                    (0..moment * 4).for_each(|_| std::hint::spin_loop());
                    writer.write_all(b"word").unwrap();
                    drop(ender);
                });
                let mut fds = [Some(quiet.as_fd()); OTHERS];
                (fds[0], fds[OTHERS - 1]) = (Some(words.as_fd()), Some(end.as_fd()));
                barrier.wait();
                let ready = readable(fds, None).unwrap();
                assert!(ready[0], "the end came first, moment {moment}");
            });
        }
    }
}
