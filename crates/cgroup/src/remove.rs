//! Removes a cgroup with everything below it.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::{CgroupError, file, procs};

/// The waits between attempts: they double from the first, about a second in all.
const FIRST_WAIT: Duration = Duration::from_micros(250);
const TRIES: u32 = 12;

/// Removes the cgroup `dir` after those below it. It is no error if it is already gone.
///
/// On EBUSY it keeps trying for about a second: a process stays in its cgroup until it is reaped, which may be
/// another process's task.
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
    // The first attempt succeeds only for cgroups without children and processes, as most are.
    if rmdir(dir).is_ok() {
        return Ok(());
    }
    // A read-only mount answers EROFS even for what does not exist.
    if !dir.exists() {
        return Ok(());
    }
    match open(None, dir.as_os_str()) {
        Ok(top) => below(top)?,
        Err(e) if file::is_gone(&e) => return Ok(()),
        Err(e) => return Err(e),
    }
    busy_waited_out(|| rmdir(dir))
}

/// Removes the cgroups below an open one. A container that may make cgroups can nest them deeper than a path may
/// be long (PATH_MAX, limits.h), and make more of them than there are descriptors: so this descends to the first
/// cgroup without children, and goes up again by "..".
fn below(top: OwnedFd) -> io::Result<()> {
    let mut names: Vec<CString> = Vec::new();
    let mut current = top;
    loop {
        if let Some(name) = first_child(&current)? {
            match open(Some(&current), OsStr::from_bytes(name.as_bytes())) {
                Ok(child) => {
                    current = child;
                    names.push(name);
                }
                Err(e) if file::is_gone(&e) => {}
                Err(e) => return Err(e),
            }
            continue;
        }
        let Some(name) = names.pop() else { return Ok(()) };
        current = open(Some(&current), OsStr::new(".."))?;
        busy_waited_out(|| {
            let removed = unlinkat(Some(current.as_raw_fd()), name.as_c_str(), UnlinkatFlags::RemoveDir);
            match removed.map_err(io::Error::from) {
                Err(e) if file::is_gone(&e) => Ok(()),
                other => other,
            }
        })?;
    }
}

fn open(at: Option<&OwnedFd>, path: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(at.map(AsRawFd::as_raw_fd), path, flags, Mode::empty()).map(rootling_sys::fds::adopt)?)
}

fn first_child(cgroup: &OwnedFd) -> io::Result<Option<CString>> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut entries = Dir::openat(Some(cgroup.as_raw_fd()), ".", flags, Mode::empty())?;
    for entry in entries.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type() == Some(Type::Directory) && name != c"." && name != c".." {
            return Ok(Some(name.to_owned()));
        }
    }
    Ok(None)
}

fn busy_waited_out(remove: impl Fn() -> io::Result<()>) -> io::Result<()> {
    let mut wait = FIRST_WAIT;
    for _ in 0..TRIES {
        match remove() {
            Err(e) if rootling_sys::errno(&e) == Some(Errno::EBUSY) => {}
            other => return other,
        }
        std::thread::sleep(wait);
        wait *= 2;
    }
    remove()
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
    fn sub_cgroups_may_be_deeper_than_a_path_is_long() {
        let dir = tempfile::tempdir().unwrap();
        let cgroup = dir.path().join("c");
        std::fs::create_dir(&cgroup).unwrap();
        let name = "a".repeat(250);
        let mut current = open(None, cgroup.as_os_str()).unwrap();
        for _ in 0..2000 {
            nix::sys::stat::mkdirat(Some(current.as_raw_fd()), name.as_str(), Mode::S_IRWXU).unwrap();
            current = open(Some(&current), OsStr::new(&name)).unwrap();
        }
        drop(current);
        tree(&cgroup).unwrap();
        assert!(!cgroup.exists());
    }

    #[test]
    fn a_cgroup_that_is_gone_is_fine() {
        tree(Path::new("/nonexistent/cgroup")).unwrap();
    }
}
