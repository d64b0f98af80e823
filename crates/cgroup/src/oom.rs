//! Reports when the OOM killer kills a process in a cgroup.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::file;

/// The number of processes in a cgroup that the OOM killer has killed, from the file that counts them; `None` if
/// the cgroup is gone, since systemd removes it with its last process.
pub(crate) fn kills_of(dir: &Path, file: &str) -> Option<u64> {
    match file::read(dir, file) {
        Ok(text) => Some(file::keyed(&text, "oom_kill").unwrap_or(0)),
        // Without the controller nothing is limited.
        Err(_) if dir.exists() => Some(0),
        Err(_) => None,
    }
}

/// A descriptor for poll(2), and what it reports.
///
/// On cgroup v2 it also becomes readable when the last process is gone.
#[derive(Debug)]
pub struct OomWatch(Kind);

#[derive(Debug)]
enum Kind {
    /// An inotify(7) instance for `memory.events` and `cgroup.events`, on which the kernel reports changes.
    Unified { inotify: Inotify, dir: PathBuf, kills: u64 },
    /// An eventfd(2) that is registered for `memory.oom_control` (cgroup-v1/memory.rst, 9).
    Legacy { event: EventFd, control: PathBuf },
}

impl OomWatch {
    /// Watches the cgroup v2 `dir`; fails with ENOENT without the memory controller.
    pub(crate) fn unified(dir: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        for file in ["memory.events", "cgroup.events"] {
            inotify.add_watch(&dir.join(file), AddWatchFlags::IN_MODIFY)?;
        }
        let kills = kills(dir).unwrap_or(0);
        Ok(Self(Kind::Unified { inotify, dir: dir.to_owned(), kills }))
    }

    /// Watches the v1 memory cgroup `dir`.
    pub(crate) fn legacy(dir: &Path) -> io::Result<Self> {
        let watched = file::open(dir, "memory.oom_control", true, false)?;
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let order = format!("{} {}", event.as_fd().as_raw_fd(), File::as_raw_fd(&watched));
        file::write(dir, "cgroup.event_control", &order)?;
        // The kernel keeps the registration while the eventfd is open.
        Ok(Self(Kind::Legacy { event, control: dir.join("cgroup.event_control") }))
    }

    /// Returns how often the kernel has run out of memory in the cgroup since the last call. Does not block.
    ///
    /// # Errors
    /// The descriptor cannot be read.
    pub fn take(&mut self) -> io::Result<u64> {
        match &mut self.0 {
            Kind::Unified { inotify, dir, kills } => {
                loop {
                    match inotify.read_events() {
                        Ok(_) | Err(Errno::EINTR) => {}
                        Err(Errno::EAGAIN) => break,
                        Err(e) => return Err(e.into()),
                    }
                }
                // A cgroup that is gone has nothing more to report.
                let Ok(now) = self::kills(dir) else { return Ok(0) };
                Ok(now.saturating_sub(std::mem::replace(kills, now)))
            }
            Kind::Legacy { event, control } => match rootling_sys::retry(|| event.read()) {
                // The removal of the cgroup is reported as an event as well.
                Ok(count) => Ok(if control.exists() { count } else { 0 }),
                Err(Errno::EAGAIN) => Ok(0),
                Err(e) => Err(e.into()),
            },
        }
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Kind::Unified { inotify, .. } => inotify.as_fd(),
            Kind::Legacy { event, .. } => event.as_fd(),
        }
    }
}

fn kills(dir: &Path) -> io::Result<u64> {
    Ok(file::keyed(&file::read(dir, "memory.events")?, "oom_kill").unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kill_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(dir.path().join("memory.events"), text).unwrap();
        write("oom 1\noom_kill 1\n");
        assert!(OomWatch::unified(dir.path()).is_err());
        std::fs::write(dir.path().join("cgroup.events"), "populated 1\n").unwrap();
        let mut watch = OomWatch::unified(dir.path()).unwrap();
        assert_eq!(watch.take().unwrap(), 0);
        write("oom 3\noom_kill 3\n");
        assert_eq!(watch.take().unwrap(), 2);
        assert_eq!(watch.take().unwrap(), 0);
        drop(std::fs::remove_file(dir.path().join("memory.events")));
        assert_eq!(watch.take().unwrap(), 0);
    }
}
