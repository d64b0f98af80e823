//! What the runtime waits for while a child gets ready: its reports, its end, and signals.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::Signals;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::process::wait_readable;
use crate::report::{Channel, FromChild};

/// The next thing that has happened.
pub(crate) enum Event {
    /// The child reports.
    Report(FromChild),
    /// The other descriptor that was waited for is readable.
    Other,
    /// The child has closed its end of the channel, or has ended.
    ChildGone,
    /// A signal asks the runtime to end.
    Signal(i32),
}

/// Waits for the next event; `other` is waited for as well. What the child sends along with a report is
/// added to `received`.
pub(crate) fn next_event(
    channel: &Channel,
    signals: &Signals,
    other: Option<BorrowedFd<'_>>,
    received: &mut Vec<OwnedFd>,
) -> Result<Event> {
    loop {
        let (report, signal, other) = {
            let mut fds = vec![
                PollFd::new(channel.as_fd(), PollFlags::POLLIN),
                PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            ];
            fds.extend(other.map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
            match poll(&mut fds, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                other => other.context(|| "poll")?,
            };
            let ready = |i: usize| fds.get(i).is_some_and(|f| f.any().unwrap_or(false));
            (ready(0), ready(1), ready(2))
        };
        if report {
            let Some((message, fd)) = channel.receive_with()? else { return Ok(Event::ChildGone) };
            received.extend(fd);
            return Ok(Event::Report(message));
        }
        if other {
            return Ok(Event::Other);
        }
        if signal {
            while let Some((number, _)) = signals.next()? {
                if Signals::is_end(number) {
                    return Ok(Event::Signal(number));
                }
            }
        }
    }
}

/// What to say when a signal has ended the making of something.
pub(crate) fn interrupted(signal: i32, what: &str) -> Error {
    Error::new(
        ErrorKind::Interrupted(signal),
        format!("interrupted by signal {signal} while {what} was being made"),
    )
}

/// What the child has reported as its failure, if it has.
pub(crate) fn childs_failure(channel: &Channel) -> Option<Error> {
    while wait_readable(channel.as_fd(), 100).unwrap_or(false) {
        if let FromChild::Failed(error) = channel.receive().ok()?? {
            return Some(error);
        }
    }
    None
}

/// A child ended without a word: what the kernel says of it.
pub(crate) fn early_end(pidfd: Option<BorrowedFd<'_>>, who: &str) -> Error {
    use nix::sys::signal::Signal;
    use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
    let why = pidfd.map(|fd| waitid(Id::PIDFd(fd), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT));
    match why {
        Some(Ok(WaitStatus::Signaled(_, signal, _))) => {
            let error = Error::system(format!("{who} was killed by {signal}"));
            match signal {
                Signal::SIGKILL => {
                    error.remedy("a memory limit that is too small for it to start is the usual reason")
                }
                Signal::SIGSYS => error.remedy("linux.seccomp kills a system call that the start needs"),
                _ => error,
            }
        }
        Some(Ok(status)) => Error::system(format!("{who} ended early: {status:?}")),
        _ => Error::system(format!("{who} ended early")),
    }
}
