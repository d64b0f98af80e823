//! Waiting for descriptors: every wait has an end, and is retried where a signal interrupts it.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Which of the descriptors are readable or have ended, when at least one is; all false where the time is over.
/// `None`: without a limit, so that something among them has to be what ends it. Where one shows an end, the others show
/// all that came before it.
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
            // Rounded up, so that the last millisecond is no busy loop.
            PollTimeout::try_from(left.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX)
        })
    })?;
    if ready > 0 && ready < polled.len() {
        // The kernel asks one after the other: a process may have written what it had to say after its channel was
        // asked, and have ended before its pidfd was. What is ready stays so.
        wait(&mut polled, || PollTimeout::ZERO)?;
    }
    let mut events = polled.iter().map(|fd| fd.any().unwrap_or(false));
    Ok(fds.map(|fd| fd.is_some() && events.next().unwrap_or(false)))
}

/// poll(2), again where a signal interrupts it; how many are ready.
fn wait(polled: &mut [PollFd<'_>], timeout: impl Fn() -> PollTimeout) -> Result<usize, Errno> {
    loop {
        match poll(polled, timeout()) {
            Err(Errno::EINTR) => {}
            result => return result.map(|ready| ready as usize),
        }
    }
}

/// Waits until a descriptor is readable (a pidfd: until the process has ended), at most so long.
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

    /// Whoever sees the end of a process sees what it had to say before, however the two fall into one poll(2).
    #[test]
    fn what_came_before_an_end_shows_with_the_end() {
        // Between the two in question, so that the kernel takes long from one to the other.
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
