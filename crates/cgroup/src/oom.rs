//! Being told when the kernel kills a process of a cgroup for want of memory.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::file;

/// How many processes the kernel has killed in a cgroup for want of memory, by the file that counts them; `None` where the
/// cgroup is gone, as systemd removes it with its last process.
pub(crate) fn kills_of(dir: &Path, file: &str) -> Option<u64> {
    match file::read(dir, file) {
        Ok(text) => Some(file::keyed(&text, "oom_kill").unwrap_or(0)),
        // Without the controller nothing is limited.
        Err(_) if dir.exists() => Some(0),
        Err(_) => None,
    }
}

/// A descriptor to poll(2) for, and what it tells.
///
/// On cgroup v2 it is readable too when the last process has gone.
#[derive(Debug)]
pub struct OomWatch(Kind);

#[derive(Debug)]
enum Kind {
    /// inotify(7) on `memory.events` and `cgroup.events`, which the kernel reports changes of.
    Unified { inotify: Inotify, dir: PathBuf, kills: u64 },
    /// An eventfd(2) that was registered for `memory.oom_control` (cgroup-v1/memory.rst, 9).
    Legacy { event: EventFd, control: PathBuf },
}

impl OomWatch {
    /// For the cgroup v2 `dir`; ENOENT without the memory controller.
    pub(crate) fn unified(dir: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        for file in ["memory.events", "cgroup.events"] {
            inotify.add_watch(&dir.join(file), AddWatchFlags::IN_MODIFY)?;
        }
        let kills = kills(dir).unwrap_or(0);
        Ok(Self(Kind::Unified { inotify, dir: dir.to_owned(), kills }))
    }

    /// For the memory cgroup v1 `dir`.
    pub(crate) fn legacy(dir: &Path) -> io::Result<Self> {
        let watched = file::open(dir, "memory.oom_control", true, false)?;
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let order = format!("{} {}", event.as_fd().as_raw_fd(), File::as_raw_fd(&watched));
        file::write(dir, "cgroup.event_control", &order)?;
        // The kernel keeps the registration as long as the eventfd is open.
        Ok(Self(Kind::Legacy { event, control: dir.join("cgroup.event_control") }))
    }

    /// How many times the kernel has run out of memory in the cgroup since the last call. Does not wait.
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
                // A cgroup that is gone has told all.
                let Ok(now) = self::kills(dir) else { return Ok(0) };
                Ok(now.saturating_sub(std::mem::replace(kills, now)))
            }
            Kind::Legacy { event, control } => match rootling_sys::retry(|| event.read()) {
                // The removal of the cgroup comes as an event as well.
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
