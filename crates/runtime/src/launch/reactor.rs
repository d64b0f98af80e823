//! What the runtime waits for while a child gets ready: the child's reports, its end, and signals, in a single poll(2).
//! The end of any process that takes part ends the wait.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;
use rootling_cgroup::Cgroup;
use rootling_init::channel::{Channel, FromChild, ToChild};
use rootling_sys as sys;
use rootling_sys::signals::Signals;

use crate::error::{Context, Error, ErrorKind, Result};

/// How long a process may take to end after it was killed or its channel was closed.
const END: Duration = Duration::from_secs(10);
/// How long to wait for the failure report of a child that may have failed.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How long a child whose channel was closed may take to exit by itself.
const LAST_BREATH: Duration = Duration::from_secs(2);

/// A process that the runtime has made.
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
}

/// Waits for a child.
pub(crate) struct Reactor {
    channel: Channel,
    signals: Signals,
    process: Process,
    /// What the child is called in error messages.
    who: &'static str,
    /// The cgroup whose limits the child may reach.
    cgroup: Cgroup,
    /// Reports that came before their sender was known.
    early: VecDeque<(FromChild, Option<OwnedFd>)>,
}

/// The next thing that has happened.
pub(crate) enum Event {
    /// The child sends a report, perhaps with a descriptor.
    Report(FromChild, Option<OwnedFd>),
    /// The child has closed its end of the channel, or has ended.
    ChildGone,
    /// A signal asks the runtime to end.
    Signal(i32),
}

impl Reactor {
    /// `who` is what the process is called in error messages.
    pub(crate) fn new(channel: Channel, signals: Signals, process: Process, who: &'static str) -> Self {
        Self { channel, signals, process, who, cgroup: Cgroup::none(), early: VecDeque::new() }
    }

    /// Sets the cgroup that the process is in, whose limits may be the reason that it ends.
    pub(crate) fn set_cgroup(&mut self, cgroup: Cgroup) {
        self.cgroup = cgroup;
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Sets what the process is called in error messages from now on.
    pub(crate) fn set_who(&mut self, who: &'static str) {
        self.who = who;
    }

    /// The signals that were blocked.
    pub(crate) fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Sends the child a message.
    pub(crate) fn send(&self, message: &ToChild) -> Result<()> {
        self.channel.send(message)
    }

    /// Sends the child a message with a descriptor.
    pub(crate) fn send_with(&self, message: &ToChild, fd: BorrowedFd<'_>) -> Result<()> {
        self.channel.send_with(message, fd)
    }

    /// Whether the child, which has closed its end of the channel, has read everything that was sent to it. If it has
    /// not, it never got as far as executing its program.
    pub(crate) fn has_been_read(&self) -> bool {
        !self.channel.is_unread()
    }

    /// Fails if a signal has already asked the runtime to end: as long as the child has not been let go, nothing is
    /// lost.
    pub(crate) fn check_signals(&self) -> Result<()> {
        match asked_to_end(&self.signals)? {
            Some(signal) => Err(interrupted(signal, self.who)),
            None => Ok(()),
        }
    }

    /// Returns the process and the signals once the child no longer needs a channel.
    pub(crate) fn into_parts(self) -> (Process, Signals) {
        (self.process, self.signals)
    }

    /// Waits for the next event.
    pub(crate) fn next(&mut self) -> Result<Event> {
        if let Some((message, fd)) = self.early.pop_front() {
            return Ok(Event::Report(message, fd));
        }
        self.poll()
    }

    fn poll(&self) -> Result<Event> {
        loop {
            let fds = [self.channel.as_fd(), self.signals.as_fd(), self.process.pidfd.as_fd()].map(Some);
            let [report, signal, ended] = sys::poll::readable(fds, None).context(|| "poll")?;
            if report {
                return Ok(match self.channel.receive_with()? {
                    Some((message, fd)) => Event::Report(message, fd),
                    None => Event::ChildGone,
                });
            }
            if ended {
                return Ok(Event::ChildGone);
            }
            if let Some(signal) = signal.then(|| asked_to_end(&self.signals)).transpose()?.flatten() {
                return Ok(Event::Signal(signal));
            }
        }
    }

    /// Continues with the process that this one clones as its sibling, and calls the new one `who`. `maps` writes the
    /// id maps of a process's user namespace when the process asks for them.
    pub(crate) fn take_over(
        &mut self,
        who: &'static str,
        maps: &mut dyn FnMut(&Self) -> Result<()>,
    ) -> Result<()> {
        loop {
            match self.poll()? {
                Event::Report(FromChild::Cloned(pid), _) => return self.continue_with(pid, who),
                Event::Report(FromChild::NeedsMaps, _) => {
                    maps(self)?;
                    self.send(&ToChild::Begin(self.process.pid))?;
                }
                Event::Report(FromChild::Failed(error), _) => return Err(error),
                // The new process may report before the one that cloned it does.
                Event::Report(message, fd) => self.early.push_back((message, fd)),
                Event::Signal(signal) => return Err(interrupted(signal, self.who)),
                Event::ChildGone => return Err(self.early_end()),
            }
        }
    }

    /// Continues with the process `pid`, which this one has cloned as its sibling before it ended.
    pub(crate) fn continue_with(&mut self, pid: i32, who: &'static str) -> Result<()> {
        let pidfd = sys::process::pidfd_open(pid).context(|| format!("pidfd_open({pid})"))?;
        let joiner = std::mem::replace(&mut self.process, Process { pid, pidfd });
        self.who = who;
        reap(&joiner)
    }

    /// Waits for a process that works for this launch to end, at most for `limit`; returns whether it has ended. The
    /// end of the child, or a signal, ends the wait with an error.
    pub(crate) fn wait_for(&self, helper: BorrowedFd<'_>, limit: Duration) -> Result<bool> {
        let end = std::time::Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(std::time::Instant::now());
            let fds = [helper, self.signals.as_fd(), self.process.pidfd.as_fd()].map(Some);
            let [done, signal, ended] = sys::poll::readable(fds, Some(left)).context(|| "poll")?;
            if done {
                return Ok(true);
            }
            if ended {
                return Err(self.childs_failure().unwrap_or_else(|| self.early_end()));
            }
            if let Some(signal) = signal.then(|| asked_to_end(&self.signals)).transpose()?.flatten() {
                return Err(interrupted(signal, self.who));
            }
            if left.is_zero() {
                return Ok(false);
            }
        }
    }

    /// The failure that the child has reported, if it has.
    pub(crate) fn childs_failure(&self) -> Option<Error> {
        while sys::poll::wait_readable(self.channel.as_fd(), LAST_WORDS) == Ok(true) {
            if let FromChild::Failed(error) = self.channel.receive().ok()?? {
                return Some(error);
            }
        }
        None
    }

    /// The error for a child that ended without a report, from what the kernel tells about it.
    pub(crate) fn early_end(&self) -> Error {
        let who = self.who;
        if sys::poll::wait_readable(self.process.pidfd.as_fd(), LAST_BREATH) != Ok(true) {
            // It has closed its channel, or we have lost it: it cannot be used any more.
            let _ = sys::process::pidfd_send_signal(self.process.pidfd.as_fd(), Signal::SIGKILL as i32);
            return Error::system(format!("{who} has lost the runtime"));
        }
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
        match sys::retry(|| waitid(Id::PIDFd(self.process.pidfd.as_fd()), look)) {
            Ok(WaitStatus::Signaled(_, signal, _)) => {
                let error = Error::system(format!("{who} was killed by {signal}"));
                match signal {
                    Signal::SIGKILL => error.remedy(match self.cgroup.oom_kills() {
                        Some(0) => "somebody else has killed it",
                        Some(_) => {
                            "it needs more memory than its limit allows: raise linux.resources.memory.limit"
                        }
                        None => {
                            "by whom its cgroup, which is gone, cannot tell: if the limit is small, raise \
                             linux.resources.memory.limit"
                        }
                    }),
                    Signal::SIGSYS => error.remedy("linux.seccomp kills a system call that the start needs"),
                    _ => error,
                }
            }
            Ok(WaitStatus::Exited(_, code)) => {
                Error::system(format!("{who} ended early, with exit code {code} and without saying why"))
            }
            Ok(_) => Error::system(format!("{who} ended early, without saying why")),
            Err(errno) => Error::from(errno).wrap(format!("{who} ended early: waitid")),
        }
    }

    /// Kills the child. Whatever the child has cloned beside it notices that the channel is closed.
    pub(crate) fn abandon(self) {
        let _ = sys::process::pidfd_send_signal(self.process.pidfd.as_fd(), Signal::SIGKILL as i32);
        let Self { channel, process, .. } = self;
        drop(channel);
        let _ = reap(&process);
        reap_all();
    }
}

/// The signal that asks the runtime to end, if one has arrived.
fn asked_to_end(signals: &Signals) -> Result<Option<i32>> {
    while let Some((number, _)) = signals.next().context(|| "read(signalfd)")? {
        if Signals::is_end(number) {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// The error for something whose making was ended by a signal.
pub(crate) fn interrupted(signal: i32, what: &str) -> Error {
    Error::new(
        ErrorKind::Interrupted(signal),
        format!("interrupted by signal {signal} while {what} was being made"),
    )
}

/// Reaps a process that was killed or is about to end by itself.
pub(crate) fn reap(process: &Process) -> Result<()> {
    if !sys::poll::wait_readable(process.pidfd.as_fd(), END).context(|| "poll")? {
        return Err(Error::system(format!(
            "process {} has not ended within {} s",
            process.pid,
            END.as_secs()
        )));
    }
    match sys::retry(|| waitpid(Pid::from_raw(process.pid), Some(WaitPidFlag::WNOHANG))) {
        // The child of another process, or already reaped.
        Ok(_) | Err(Errno::ECHILD) => Ok(()),
        Err(errno) => Err(errno).context(|| format!("waitpid({})", process.pid)),
    }
}

/// Reaps all children, which are about to end. They all belong to the launch that failed; there are no others.
fn reap_all() {
    let end = std::time::Instant::now() + END;
    while std::time::Instant::now() < end {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => std::thread::sleep(Duration::from_millis(2)),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}
