//! A process that is known by more than its pid, so that a pid used again is never mistaken for it.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, ErrorKind, Result};
use rootling_sys as sys;

/// A process by pid and the moment it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRef {
    /// The pid, in the runtime's pid namespace.
    pub pid: i32,
    /// Start time in clock ticks since boot: field 22 of `/proc/PID/stat`, proc(5).
    pub start_time: u64,
}

impl ProcessRef {
    /// Identifies a process that is known to exist, such as a child that has not been waited for.
    pub fn of(pid: i32) -> Result<Self> {
        let stat = stat(pid).context(|| format!("/proc/{pid}/stat"))?;
        Ok(Self { pid, start_time: stat.start_time })
    }

    /// Whether the very process still runs; a zombie does not.
    ///
    /// # Errors
    /// It cannot be told. Dead is only what the kernel says is dead: a process of this number that is not there, or one
    /// that started at another time.
    pub fn is_alive(self) -> Result<bool> {
        if !exists(self.pid)? {
            return Ok(false);
        }
        match stat(self.pid) {
            Ok(stat) => Ok(stat.start_time == self.start_time && !stat.has_ended()),
            // It has ended since.
            Err(_) if !exists(self.pid)? => Ok(false),
            Err(error) => Err(error).context(|| format!("/proc/{}/stat", self.pid)).map_err(|e| {
                e.remedy("whether the container's process runs cannot be told, so that nothing was changed")
            }),
        }
    }

    /// A pidfd of the very process; `None` when it has ended.
    pub fn open(self) -> Result<Option<OwnedFd>> {
        match sys::process::pidfd_open(self.pid) {
            // The check after the opening rules out a pid that was used again in between.
            Ok(fd) => Ok(self.is_alive()?.then_some(fd)),
            Err(Errno::ESRCH | Errno::EINVAL) => Ok(None),
            Err(errno) => Err(errno).context(|| format!("pidfd_open({})", self.pid)),
        }
    }

    /// A pidfd of the very process, which may have ended without its parent having reaped it; `None` when it was reaped.
    pub(crate) fn open_dead_or_alive(self) -> Result<Option<OwnedFd>> {
        match sys::process::pidfd_open(self.pid) {
            Ok(fd) => {
                Ok((stat(self.pid).ok().map(|stat| stat.start_time) == Some(self.start_time)).then_some(fd))
            }
            Err(Errno::ESRCH | Errno::EINVAL) => Ok(None),
            Err(errno) => Err(errno).context(|| format!("pidfd_open({})", self.pid)),
        }
    }

    /// Sends a signal to the very process.
    pub fn signal(self, signal: i32) -> Result<()> {
        let gone = || Error::new(ErrorKind::WrongState, format!("process {} has ended", self.pid));
        let pidfd = self.open()?.ok_or_else(gone)?;
        match sys::process::pidfd_send_signal(pidfd.as_fd(), signal) {
            Err(Errno::ESRCH) => Err(gone()),
            other => other.context(|| format!("pidfd_send_signal({}, {signal})", self.pid)),
        }
    }

    /// Waits for the end of the process, at most so long; whether it has ended.
    pub fn wait_for_end(self, limit: Duration) -> Result<bool> {
        match self.open()? {
            None => Ok(true),
            Some(pidfd) => sys::poll::wait_readable(pidfd.as_fd(), limit).context(|| "poll"),
        }
    }
}

/// Whether the kernel knows a process of this number; kill(2).
fn exists(pid: i32) -> Result<bool> {
    match nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None) {
        Err(Errno::ESRCH) => Ok(false),
        // Somebody else's now: the start time tells.
        Ok(()) | Err(Errno::EPERM) => Ok(true),
        Err(errno) => Err(errno).context(|| format!("kill({pid}, 0)")),
    }
}

/// What the kernel shows to everybody of a process: `/proc/PID/stat`, proc_pid_stat(5). Times are in clock ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stat {
    /// The letter of its state.
    pub(crate) state: u8,
    /// The kernel's flags of its first thread.
    pub(crate) flags: u64,
    /// Its parent, 0 for one that the caller does not see.
    pub(crate) parent: i32,
    /// Its threads.
    pub(crate) threads: u64,
    /// Since boot.
    pub(crate) start_time: u64,
    /// Processor time outside the kernel and in it, with that of threads that have ended.
    pub(crate) own: [u64; 2],
    /// The same of all its descendants that have been waited for.
    pub(crate) waited_for: [u64; 2],
    /// Pages of memory that it has in use, counted roughly.
    pub(crate) resident: u64,
}

/// A thread that is ending has given up its memory; `PF_EXITING`, linux/sched.h.
const EXITING: u64 = 4;

impl Stat {
    /// Whether the whole process ends this moment, or has ended: nobody is shown its memory and more then.
    pub(crate) fn is_ending(&self) -> bool {
        self.threads <= 1 && (self.has_ended() || self.flags & EXITING != 0)
    }

    /// A process that its parent has not waited for, or that is going this moment.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

pub(crate) fn stat(pid: i32) -> std::io::Result<Stat> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat"))?).ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

/// The name in field 2 may hold anything, spaces and brackets too: fields count from its last bracket.
pub(crate) fn parse_stat(line: &[u8]) -> Option<Stat> {
    let end = line.iter().rposition(|&b| b == b')')?;
    let rest = std::str::from_utf8(line.get(end + 2..)?).ok()?;
    let fields: Vec<&str> = rest.split(' ').collect();
    // By the numbers of the manual page; the first here is field 3.
    let field = |number: usize| fields.get(number - 3).copied();
    let number = |at: usize| field(at)?.trim_end().parse::<u64>().ok();
    Some(Stat {
        state: *field(3)?.as_bytes().first()?,
        flags: number(9)?,
        parent: field(4)?.parse().ok()?,
        threads: number(20)?,
        start_time: number(22)?,
        own: [number(14)?, number(15)?],
        waited_for: [number(16)?, number(17)?],
        resident: number(24)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line = b"42 (a) S (b) R 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 777 23 24\n";
        let stat = Stat {
            state: b'R',
            flags: 9,
            parent: 4,
            threads: 20,
            start_time: 777,
            own: [14, 15],
            waited_for: [16, 17],
            resident: 24,
        };
        assert_eq!(parse_stat(line), Some(stat));
        assert_eq!(parse_stat(b"42 (a) R 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 777 23"), None);
    }

    #[test]
    fn a_pid_that_was_used_again_is_another_process() {
        let me = ProcessRef::of(std::process::id() as i32).unwrap();
        assert!(me.is_alive().unwrap());
        let other = ProcessRef { start_time: me.start_time + 1, ..me };
        assert!(!other.is_alive().unwrap());
        assert!(other.open().unwrap().is_none());
        assert_eq!(other.signal(0).unwrap_err().kind(), ErrorKind::WrongState);
    }
}
