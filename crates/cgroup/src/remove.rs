//! Removing a cgroup with everything below it.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::{CgroupError, file, procs};

/// The waits between tries: doubling from the first, about a second in all.
const FIRST_WAIT: Duration = Duration::from_micros(250);
const TRIES: u32 = 12;

/// Removes the cgroup `dir`, those below it first. One that is gone already is fine.
///
/// EBUSY is waited out for about a second: a process stays in its cgroup until it is reaped, which
/// may be somebody else's work.
///
/// # Errors
/// The directory is still busy after that, or may not be removed.
pub(crate) fn tree(dir: &Path) -> Result<(), CgroupError> {
    subtree(dir).map_err(|source| CgroupError::Remove {
        path: dir.to_owned(),
        source,
        pids: procs::all(dir).unwrap_or_default(),
    })
}

fn subtree(dir: &Path) -> io::Result<()> {
    // Only cgroups without children and processes go at the first try; most do.
    if rmdir(dir).is_ok() {
        return Ok(());
    }
    // A read-only mount answers EROFS even for what does not exist; this finds nothing then.
    if !dir.exists() {
        return Ok(());
    }
    for child in procs::children(dir)? {
        subtree(&child)?;
    }
    let mut wait = FIRST_WAIT;
    for _ in 0..TRIES {
        match rmdir(dir) {
            Err(e) if e.raw_os_error() == Some(nix::libc::EBUSY) => {}
            other => return other,
        }
        std::thread::sleep(wait);
        wait *= 2;
    }
    rmdir(dir)
}

fn rmdir(dir: &Path) -> io::Result<()> {
    match std::fs::remove_dir(dir) {
        Err(e) if file::is_gone(&e) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sub_cgroups_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let cgroup = dir.path().join("c");
        std::fs::create_dir_all(cgroup.join("a/b")).unwrap();
        std::fs::create_dir_all(cgroup.join("d")).unwrap();
        tree(&cgroup).unwrap();
        assert!(!cgroup.exists());
    }

    #[test]
    fn a_cgroup_that_is_gone_is_fine() {
        tree(Path::new("/nonexistent/cgroup")).unwrap();
    }
}
