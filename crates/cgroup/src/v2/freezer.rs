//! Freezes processes through `cgroup.freeze`.

use std::io::{self, Seek};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{CgroupError, file};

/// How long processes may take to freeze. One in uninterruptible sleep does not freeze until it wakes up.
const LIMIT: Duration = Duration::from_secs(10);

/// Whether this cgroup itself was told to freeze. A kernel without the file cannot freeze anything.
pub(crate) fn is_frozen(dir: &Path) -> Result<bool, CgroupError> {
    Ok(file::find(dir, "cgroup.freeze")?.is_some_and(|state| state.trim() == "1"))
}

/// Freezes every process of the cgroup, and returns when all are frozen.
///
/// # Errors
/// The kernel is older than 5.2, or a process did not freeze in time; the cgroup is thawed again then.
pub(crate) fn freeze(dir: &Path) -> Result<(), CgroupError> {
    set(dir, "1")?;
    let outcome = wait(dir, LIMIT);
    let reason = match outcome {
        Ok(true) => return Ok(()),
        Ok(false) => format!("not all processes stopped within {} s; try again", LIMIT.as_secs()),
        Err(e) => format!("cgroup.events: {e}"),
    };
    let _ = set(dir, "0");
    Err(CgroupError::Freeze { path: dir.to_owned(), reason })
}

/// Thaws the processes of the cgroup. A cgroup that cannot freeze is never frozen.
pub(crate) fn thaw(dir: &Path) -> Result<(), CgroupError> {
    match set(dir, "0") {
        Err(CgroupError::Write { source, .. }) if file::is_gone(&source) => Ok(()),
        other => other,
    }
}

fn set(dir: &Path, state: &str) -> Result<(), CgroupError> {
    file::write(dir, "cgroup.freeze", state).map_err(|source| CgroupError::Write {
        path: dir.join("cgroup.freeze"),
        value: state.to_owned(),
        source,
    })
}

/// Waits until `cgroup.events` says frozen; a change of it wakes a poll for POLLPRI.
fn wait(dir: &Path, limit: Duration) -> io::Result<bool> {
    let mut events = file::open(dir, "cgroup.events", true, false)?;
    let end = Instant::now() + limit;
    loop {
        events.rewind()?;
        if file::keyed(&file::slurp(&mut events)?, "frozen") == Some(1) {
            return Ok(true);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let timeout =
            PollTimeout::try_from(left.min(Duration::from_millis(100))).unwrap_or(PollTimeout::ZERO);
        match poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freezing_waits_for_the_kernel_to_say_so() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("cgroup.freeze"), "0").unwrap();
        std::fs::write(dir.path().join("cgroup.events"), "populated 1\nfrozen 1\n").unwrap();
        freeze(dir.path()).unwrap();
        assert!(is_frozen(dir.path()).unwrap());
        std::fs::write(dir.path().join("cgroup.events"), "populated 1\nfrozen 0\n").unwrap();
        assert!(!wait(dir.path(), Duration::from_millis(20)).unwrap());
        thaw(dir.path()).unwrap();
        assert!(!is_frozen(dir.path()).unwrap());
    }

    #[test]
    fn a_kernel_without_a_freezer_fails_to_freeze_and_thaws() {
        let dir = tempfile::tempdir().unwrap();
        assert!(freeze(dir.path()).is_err());
        thaw(dir.path()).unwrap();
    }
}
