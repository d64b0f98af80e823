//! Identifies a process by more than its pid, so that a reused pid is never mistaken for it.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, ErrorKind, Result};
use rootling_sys as sys;

/// A process, identified by its pid and the moment at which it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRef {
    /// The pid, in the runtime's pid namespace.
    pub pid: i32,
    /// Start time in clock ticks since boot: field 22 of `/proc/PID/stat`, proc(5).
    pub start_time: u64,
    /// The inode number of the pid namespace in which the pid counts, if it was recorded; namespaces(7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<u64>,
}

impl ProcessRef {
    /// Identifies a process that is known to exist, such as a child that has not been waited for.
    pub fn of(pid: i32) -> Result<Self> {
        let stat = stat(pid).context(|| format!("/proc/{pid}/stat"))?;
        Ok(Self { pid, start_time: stat.start_time, namespace: None })
    }

    /// The same for a record that a runtime in another pid namespace may read.
    pub(crate) fn to_be_recorded(pid: i32) -> Result<Self> {
        Ok(Self { namespace: Some(own_namespace()?), ..Self::of(pid)? })
    }

    /// Whether this very process is still running; a zombie is not.
    ///
    /// # Errors
    /// It cannot be determined. A process counts as dead only if the kernel says so: there is no process with this pid,
    /// or it started at another time, in the pid namespace of which the pid is.
    pub fn is_alive(self) -> Result<bool> {
        if !exists(self.pid)? {
            return self.is_gone().map(|()| false);
        }
        match stat(self.pid) {
            Ok(stat) if stat.start_time == self.start_time => Ok(!stat.has_ended()),
            // Another process, or it has ended meanwhile.
            Ok(_) => self.is_gone().map(|()| false),
            Err(_) if !exists(self.pid)? => self.is_gone().map(|()| false),
            Err(error) => Err(error).context(|| format!("/proc/{}/stat", self.pid)).map_err(|e| {
                e.remedy("whether the container's process runs cannot be told, so that nothing was changed")
            }),
        }
    }

    /// Checks that a process that is not found has ended: in another pid namespace it is not found either, whether or not
    /// it runs.
    fn is_gone(self) -> Result<()> {
        let Some(recorded) = self.namespace else { return Ok(()) };
        if own_namespace()? == recorded {
            return Ok(());
        }
        let problem = format!("process {} is one of another pid namespace, pid:[{recorded}]", self.pid);
        Err(Error::new(ErrorKind::WrongState, problem).remedy(
            "whether it runs cannot be told here, so that nothing was changed; repeat the command there, or if that \
             namespace is gone, remove the container's directory below --root",
        ))
    }

    /// Opens a pidfd of this very process; `None` if it has ended.
    pub fn open(self) -> Result<Option<OwnedFd>> {
        match sys::process::pidfd_open(self.pid) {
            // Checking after opening rules out that the pid was reused in between.
            Ok(fd) => Ok(self.is_alive()?.then_some(fd)),
            Err(Errno::ESRCH | Errno::EINVAL) => self.is_gone().map(|()| None),
            Err(errno) => Err(errno).context(|| format!("pidfd_open({})", self.pid)),
        }
    }

    /// Opens a pidfd of this very process, which may have ended but not been reaped; `None` if it was reaped.
    pub(crate) fn open_dead_or_alive(self) -> Result<Option<OwnedFd>> {
        match sys::process::pidfd_open(self.pid) {
            Ok(fd) if stat(self.pid).is_ok_and(|stat| stat.start_time == self.start_time) => Ok(Some(fd)),
            Ok(_) => self.is_gone().map(|()| None),
            Err(Errno::ESRCH | Errno::EINVAL) => self.is_gone().map(|()| None),
            Err(errno) => Err(errno).context(|| format!("pidfd_open({})", self.pid)),
        }
    }

    /// Sends a signal to this very process.
    pub fn signal(self, signal: i32) -> Result<()> {
        let gone = || Error::new(ErrorKind::WrongState, format!("process {} has ended", self.pid));
        let pidfd = self.open()?.ok_or_else(gone)?;
        match sys::process::pidfd_send_signal(pidfd.as_fd(), signal) {
            Err(Errno::ESRCH) => Err(gone()),
            other => other.context(|| format!("pidfd_send_signal({}, {signal})", self.pid)),
        }
    }

    /// Waits for the process to end, at most for `limit`; returns whether it has ended.
    pub fn wait_for_end(self, limit: Duration) -> Result<bool> {
        match self.open()? {
            None => Ok(true),
            Some(pidfd) => sys::poll::wait_readable(pidfd.as_fd(), limit).context(|| "poll"),
        }
    }
}

/// The inode number of the caller's pid namespace.
fn own_namespace() -> Result<u64> {
    const PATH: &str = "/proc/self/ns/pid";
    fs::metadata(PATH).map(|found| found.ino()).context(|| PATH)
}

/// Whether a process with this pid exists; kill(2).
fn exists(pid: i32) -> Result<bool> {
    match nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None) {
        Err(Errno::ESRCH) => Ok(false),
        // EPERM: it belongs to another user now, and its start time tells whether it is the same.
        Ok(()) | Err(Errno::EPERM) => Ok(true),
        Err(errno) => Err(errno).context(|| format!("kill({pid}, 0)")),
    }
}

/// What the kernel shows everybody about a process: `/proc/PID/stat`, proc_pid_stat(5). Times are in clock ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stat {
    /// The letter of its state.
    pub(crate) state: u8,
    /// The kernel's flags of its first thread.
    pub(crate) flags: u64,
    /// The pid of its parent; 0 if the caller cannot see the parent.
    pub(crate) parent: i32,
    /// The number of its threads.
    pub(crate) threads: u64,
    /// Its start time since boot.
    pub(crate) start_time: u64,
    /// Processor time in user mode and in the kernel, including that of threads that have ended.
    pub(crate) own: [u64; 2],
    /// The same for all its descendants that have been waited for.
    pub(crate) waited_for: [u64; 2],
    /// The memory pages that it has in use, counted approximately.
    pub(crate) resident: u64,
}

/// Flag of a thread that is ending, and has given up its memory: `PF_EXITING`, linux/sched.h.
const EXITING: u64 = 4;

impl Stat {
    /// Whether the whole process is ending or has ended: its memory and other details can no longer be read then.
    pub(crate) fn is_ending(&self) -> bool {
        self.threads <= 1 && (self.has_ended() || self.flags & EXITING != 0)
    }

    /// Whether the process is one that its parent has not waited for yet, or is just being removed.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

pub(crate) fn stat(pid: i32) -> std::io::Result<Stat> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat"))?).ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

/// The name in field 2 may contain anything, including spaces and parentheses: fields are counted from the last
/// parenthesis.
pub(crate) fn parse_stat(line: &[u8]) -> Option<Stat> {
    let end = line.iter().rposition(|&b| b == b')')?;
    let rest = std::str::from_utf8(line.get(end + 2..)?).ok()?;
    let fields: Vec<&str> = rest.split(' ').collect();
    // Numbered as in the manual page; the first one here is field 3.
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
