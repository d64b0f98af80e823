//! A child process of the caller that does some work in a user namespace with the id maps of a container, so that what
//! it makes belongs to the container's ids.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Gid, Pid, Uid, pipe2, read, setgroups, setresgid, setresuid, write};
use rootling_config::idmap::IdMaps;
use rootling_rootless::host::Host;
use rootling_rootless::idmap::{Maps, must_deny_setgroups, writer};
use rootling_sys as sys;
use rootling_sys::clone::{CloneOptions, Cloned, EndOnPanic};

use crate::caller::check_single_threaded;
use crate::error::{Context, Error, Operation, Result};
use crate::launch::write_of;
use crate::plan::MapsWriter;

/// The ids that a helper process works with.
#[derive(Clone, Debug, Default)]
pub enum HelperIds {
    /// The caller's own ids.
    #[default]
    Caller,
    /// The ids of a new user namespace with these maps, as its root.
    Mapped(Maps),
    /// The ids of the user namespace at this path, as its root.
    Joined(PathBuf),
}

/// A process that works for the caller. It is killed when the thread that has made it ends.
#[derive(Debug)]
pub struct HelperProcess {
    pid: i32,
    pidfd: OwnedFd,
}

/// How a helper process has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelperEnd {
    /// It exited with this code.
    Code(i32),
    /// It was killed by this signal.
    Signal(i32),
}

/// The exit code of a process that failed before it could run the work.
const NOT_STARTED: i32 = 120;

impl HelperProcess {
    /// Starts the process. It begins as a copy of the caller, runs `work` with these ids, and exits with the code that
    /// `work` returns. The caller must be single-threaded; the helper may start more threads.
    ///
    /// # Errors
    /// The user namespace, its maps or the process cannot be made.
    pub fn start(host: &Host, ids: &HelperIds, work: impl FnOnce() -> i32) -> Result<Self> {
        let maps = match ids {
            HelperIds::Mapped(maps) => Some(maps_of(host, maps)?),
            HelperIds::Caller | HelperIds::Joined(_) => None,
        };
        let (wait, go) = pipe2(OFlag::O_CLOEXEC).context(|| "pipe")?;
        check_single_threaded()?;
        let (namespaces, operation) = match maps {
            Some(_) => (CloneFlags::CLONE_NEWUSER, Operation::NewUserNamespace),
            None => (CloneFlags::empty(), Operation::NewProcess),
        };
        let cloned = sys::clone::clone(CloneOptions { namespaces, ..CloneOptions::default() })
            .map_err(|errno| Error::from(errno).wrap("clone3").during(operation))?;
        let _end = matches!(cloned, Cloned::Child).then_some(EndOnPanic);
        let (pid, pidfd) = match cloned {
            Cloned::Parent { pid, pidfd } => (pid, pidfd),
            Cloned::Child => {
                drop(go);
                child(&wait, ids, work)
            }
        };
        drop(wait);
        // From here on, dropping this ends and reaps the process if anything fails.
        let process = Self { pid, pidfd };
        if let Some((maps, writer)) = &maps {
            let wait = |helper: BorrowedFd<'_>, limit: Duration| {
                sys::poll::wait_readable(helper, limit).context(|| "poll")
            };
            write_of(pid, maps, writer, &wait)?;
        }
        let before = sys::process::ignore_broken_pipes();
        let written = sys::retry(|| write(&go, b"g"));
        sys::process::restore_broken_pipes(before);
        // If nobody reads, the process has ended; its exit status shows how.
        match written {
            Ok(_) | Err(Errno::EPIPE) => Ok(process),
            Err(errno) => Err(errno).context(|| "write to a helper process"),
        }
    }

    /// Kills the process.
    pub fn kill(&self) {
        let _ = sys::process::pidfd_send_signal(self.pidfd.as_fd(), Signal::SIGKILL as i32);
    }

    /// Waits for the process to end, and returns how it did; does not block once [`AsFd`] is readable.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub fn wait(mut self) -> Result<HelperEnd> {
        let pid = std::mem::take(&mut self.pid);
        match sys::retry(|| waitpid(Pid::from_raw(pid), None)).context(|| "waitpid")? {
            WaitStatus::Exited(_, NOT_STARTED) => {
                Err(Error::system("a helper process could not get its ids; see `rootling doctor`"))
            }
            WaitStatus::Exited(_, code) => Ok(HelperEnd::Code(code)),
            WaitStatus::Signaled(_, signal, _) => Ok(HelperEnd::Signal(signal as i32)),
            other => Err(Error::system(format!("a helper process is {other:?}"))),
        }
    }
}

impl AsFd for HelperProcess {
    /// Becomes readable when the process has ended.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for HelperProcess {
    fn drop(&mut self) {
        if self.pid != 0 && waitpid(Pid::from_raw(self.pid), Some(WaitPidFlag::WNOHANG)).is_ok() {
            self.kill();
            let _ = sys::retry(|| waitpid(Pid::from_raw(self.pid), None));
        }
    }
}

fn maps_of(host: &Host, maps: &Maps) -> Result<(IdMaps, MapsWriter)> {
    let maps = IdMaps::new(maps.uid.clone(), maps.gid.clone())?;
    let by = writer(host, &maps).map_err(|e| Error::invalid(e.to_string()))?;
    let deny_setgroups = must_deny_setgroups(host, &by);
    Ok((maps, MapsWriter { by, deny_setgroups }))
}

/// The helper's side.
fn child(wait: &OwnedFd, ids: &HelperIds, work: impl FnOnce() -> i32) -> ! {
    let begin = || {
        prctl::set_pdeathsig(Signal::SIGKILL).context(|| "prctl")?;
        sys::signals::reset().context(|| "signals")?;
        // End of file: the process that made this one has given up, or died before the parent-death signal above was
        // set.
        if sys::retry(|| read(std::os::fd::AsRawFd::as_raw_fd(wait), &mut [0])).context(|| "read")? != 1 {
            return Ok(false);
        }
        become_root(ids)?;
        prctl::set_pdeathsig(Signal::SIGKILL).context(|| "prctl")?;
        Ok(true)
    };
    let code = match begin() {
        Ok(true) => work(),
        Ok(false) => NOT_STARTED,
        Err(error) => {
            let error: Error = error;
            eprintln!("rootling: {error}");
            NOT_STARTED
        }
    };
    std::process::exit(code)
}

fn become_root(ids: &HelperIds) -> Result<()> {
    match ids {
        HelperIds::Caller => return Ok(()),
        HelperIds::Mapped(_) => {}
        HelperIds::Joined(path) => {
            let namespace = std::fs::File::open(path).context(|| format!("open({path:?})"))?;
            setns(namespace, CloneFlags::CLONE_NEWUSER).context(|| format!("setns({path:?})"))?;
        }
    }
    let root = (Uid::from_raw(0), Gid::from_raw(0));
    // Refused where only the caller's own group is mapped; the caller's other groups are then kept: user_namespaces(7).
    let _ = setgroups(&[]);
    setresgid(root.1, root.1, root.1).context(|| "setresgid(0)")?;
    setresuid(root.0, root.0, root.0).context(|| "setresuid(0)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_cannot_make_a_helper() {
        let error = HelperProcess::start(&Host::probe(), &HelperIds::Caller, || 0).expect_err("an error");
        assert!(error.to_string().contains("threads"), "{error}");
    }
}
