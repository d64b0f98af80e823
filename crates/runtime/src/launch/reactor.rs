//! What the runtime waits for while a child gets ready: its reports, its end, and signals, in one poll(2). The end of
//! any process that takes part ends the wait.

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

/// How long a process that was killed, or whose channel has ended, may take to end.
const END: Duration = Duration::from_secs(10);
/// How long to wait for the report of one that may have failed.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How long one may take to end by itself whose channel has ended.
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
    /// What it is called in errors.
    who: &'static str,
    /// The cgroup whose limits it may reach.
    cgroup: Cgroup,
    /// What it has said before it was known.
    early: VecDeque<(FromChild, Option<OwnedFd>)>,
}

/// The next thing that has happened.
pub(crate) enum Event {
    /// The child reports, perhaps with a descriptor.
    Report(FromChild, Option<OwnedFd>),
    /// The child has closed its end of the channel, or has ended.
    ChildGone,
    /// A signal asks the runtime to end.
    Signal(i32),
}

impl Reactor {
    /// `who`: what the process is called in errors.
    pub(crate) fn new(channel: Channel, signals: Signals, process: Process, who: &'static str) -> Self {
        Self { channel, signals, process, who, cgroup: Cgroup::none(), early: VecDeque::new() }
    }

    /// The process is in this cgroup, which may be why it ends.
    pub(crate) fn set_cgroup(&mut self, cgroup: Cgroup) {
        self.cgroup = cgroup;
    }

    /// The process.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// Calls the process something else in errors, from now on.
    pub(crate) fn set_who(&mut self, who: &'static str) {
        self.who = who;
    }

    /// Signals that were blocked.
    pub(crate) fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Sends the child a message.
    pub(crate) fn send(&self, message: &ToChild) -> Result<()> {
        self.channel.send(message)
    }

    /// Sends it a message with a descriptor.
    pub(crate) fn send_with(&self, message: &ToChild, fd: BorrowedFd<'_>) -> Result<()> {
        self.channel.send_with(message, fd)
    }

    /// Whether the child, which has closed its end of the channel, has read all that it was sent: one that has not has never
    /// come to execute its program.
    pub(crate) fn has_been_read(&self) -> bool {
        !self.channel.is_unread()
    }

    /// Fails if a signal has asked the runtime to end by now: before the child is let go nothing is lost by that.
    pub(crate) fn check_signals(&self) -> Result<()> {
        match asked_to_end(&self.signals)? {
            Some(signal) => Err(interrupted(signal, self.who)),
            None => Ok(()),
        }
    }

    /// The process and the signals, when the child needs no channel any more.
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

    /// Goes on with the process that this one clones as a sibling of its own; `maps` writes the maps of the user
    /// namespace of a process, when it asks for them. The new one is called `who`.
    pub(crate) fn take_over(
        &mut self,
        who: &'static str,
        maps: &mut dyn FnMut(&Self) -> Result<()>,
    ) -> Result<()> {
        loop {
            match self.poll()? {
                Event::Report(FromChild::Cloned(pid), _) => {
                    let pidfd = sys::process::pidfd_open(pid).context(|| format!("pidfd_open({pid})"))?;
                    let joiner = std::mem::replace(&mut self.process, Process { pid, pidfd });
                    self.who = who;
                    return reap(&joiner);
                }
                Event::Report(FromChild::NeedsMaps, _) => {
                    maps(self)?;
                    self.send(&ToChild::Begin(self.process.pid))?;
                }
                Event::Report(FromChild::Failed(error), _) => return Err(error),
                // The new process may be faster than the one that has cloned it.
                Event::Report(message, fd) => self.early.push_back((message, fd)),
                Event::Signal(signal) => return Err(interrupted(signal, self.who)),
                Event::ChildGone => return Err(self.early_end()),
            }
        }
    }

    /// Waits for the end of a process that works for this launch, at most so long; whether it has ended. The end of the
    /// child, and a signal, end the wait.
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

    /// What the child has reported as its failure, if it has.
    pub(crate) fn childs_failure(&self) -> Option<Error> {
        while sys::poll::wait_readable(self.channel.as_fd(), LAST_WORDS) == Ok(true) {
            if let FromChild::Failed(error) = self.channel.receive().ok()?? {
                return Some(error);
            }
        }
        None
    }

    /// A child ended without a word: what the kernel says of it.
    pub(crate) fn early_end(&self) -> Error {
        let who = self.who;
        if sys::poll::wait_readable(self.process.pidfd.as_fd(), LAST_BREATH) != Ok(true) {
            // It has closed its channel, or we have lost it: nothing is to be had of it any more.
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

    /// Ends the child and whatever it has cloned beside it. What it has cloned sees the end of the channel.
    pub(crate) fn abandon(self) {
        let _ = sys::process::pidfd_send_signal(self.process.pidfd.as_fd(), Signal::SIGKILL as i32);
        let Self { channel, process, .. } = self;
        drop(channel);
        let _ = reap(&process);
        reap_all();
    }
}

/// A signal that asks the runtime to end, if one has come.
fn asked_to_end(signals: &Signals) -> Result<Option<i32>> {
    while let Some((number, _)) = signals.next().context(|| "read(signalfd)")? {
        if Signals::is_end(number) {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// What to say when a signal has ended the making of something.
pub(crate) fn interrupted(signal: i32, what: &str) -> Error {
    Error::new(
        ErrorKind::Interrupted(signal),
        format!("interrupted by signal {signal} while {what} was being made"),
    )
}

/// Waits for a process that ends by itself at once, or was killed.
pub(crate) fn reap(process: &Process) -> Result<()> {
    if !sys::poll::wait_readable(process.pidfd.as_fd(), END).context(|| "poll")? {
        return Err(Error::system(format!(
            "process {} has not ended within {} s",
            process.pid,
            END.as_secs()
        )));
    }
    match sys::retry(|| waitpid(Pid::from_raw(process.pid), Some(WaitPidFlag::WNOHANG))) {
        // Somebody else's, or taken already.
        Ok(_) | Err(Errno::ECHILD) => Ok(()),
        Err(errno) => Err(errno).context(|| format!("waitpid({})", process.pid)),
    }
}

/// Waits for all children, which are about to end. Those of a launch that failed: there are no others.
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
