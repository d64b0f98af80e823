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
        let (_, start_time) = stat(pid).context(|| format!("/proc/{pid}/stat"))?;
        Ok(Self { pid, start_time })
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
            Ok((state, start)) => Ok(start == self.start_time && !matches!(state, b'Z' | b'X')),
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
                Ok((stat(self.pid).ok().map(|(_, start)| start) == Some(self.start_time)).then_some(fd))
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

/// State letter and start time.
fn stat(pid: i32) -> std::io::Result<(u8, u64)> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat"))?).ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

/// The name in field 2 may hold anything, spaces and brackets too: fields count from its last bracket.
pub(crate) fn parse_stat(line: &[u8]) -> Option<(u8, u64)> {
    let end = line.iter().rposition(|&b| b == b')')?;
    let rest = std::str::from_utf8(line.get(end + 2..)?).ok()?;
    let mut fields = rest.split(' ');
    let state = *fields.next()?.as_bytes().first()?;
    // Field 22, counted from field 3, which `next` has just taken.
    Some((state, fields.nth(18)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line = b"42 (a) S (b) R 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20 21\n";
        assert_eq!(parse_stat(line), Some((b'R', 777)));
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
