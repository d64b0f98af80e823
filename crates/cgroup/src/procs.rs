//! The processes of a cgroup and of those below it.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use rootling_sys::directory::entries;

use crate::{CgroupError, file};

/// The cgroups directly below `dir`; none if it has been removed.
pub(crate) fn children(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match entries(dir).map_err(io::Error::from) {
        Err(e) if file::is_gone(&e) => Ok(Vec::new()),
        other => Ok(other?.into_iter().filter(|e| e.is_directory).map(|e| dir.join(e.name)).collect()),
    }
}

/// The processes in `dir` itself.
pub(crate) fn direct(dir: &Path) -> io::Result<Vec<i32>> {
    let content = match file::read(dir, "cgroup.procs") {
        // A threaded cgroup lists its processes only in its domain, which is above it.
        Err(e) if rootling_sys::errno(&e) == Some(Errno::EOPNOTSUPP) => file::read(dir, "cgroup.threads"),
        Err(e) if file::is_gone(&e) => return Ok(Vec::new()),
        other => other,
    }?;
    // 0 stands for a process outside the caller's pid namespace, which no system call can refer to.
    Ok(content.lines().filter_map(|l| l.trim().parse().ok()).filter(|pid| *pid != 0).collect())
}

/// The processes in `dir` and in all cgroups below it; none if it has been removed.
pub(crate) fn all(dir: &Path) -> Result<Vec<i32>, CgroupError> {
    let read = |path: &Path, source| CgroupError::Read { path: path.to_owned(), source };
    let mut pids = Vec::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        pids.extend(direct(&dir).map_err(|e| read(&dir, e))?);
        left.extend(children(&dir).map_err(|e| read(&dir, e))?);
    }
    Ok(pids)
}

/// Sends `signal` to each of `pids`, ignoring those that are already gone.
pub(crate) fn signal(pids: &[i32], signal: i32) {
    for &pid in pids {
        if let Err(e) = rootling_sys::process::kill(pid, signal)
            && rootling_sys::errno(&e) != Some(Errno::ESRCH)
        {
            tracing::warn!("kill({pid}, {signal}): {e}");
        }
    }
}

/// Moves `pid` into `dir`.
///
/// After EINVAL it tries again for a moment: the kernel returns it for a task that clone(2) has not finished
/// making, mostly with realtime group scheduling.
pub(crate) fn attach(dir: &Path, pid: i32) -> Result<(), CgroupError> {
    let mut tries = 5;
    loop {
        let source = match file::write(dir, "cgroup.procs", &pid.to_string()) {
            Ok(()) => return Ok(()),
            Err(e) => e,
        };
        tries -= 1;
        if tries == 0 || rootling_sys::errno(&source) != Some(Errno::EINVAL) {
            return Err(CgroupError::Attach { path: dir.to_owned(), pid, source });
        }
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_sub_cgroups_count() {
        let dir = tempfile::tempdir().unwrap();
        let sub = dir.path().join("a/b");
        std::fs::create_dir_all(&sub).unwrap();
        std::fs::write(dir.path().join("cgroup.procs"), "12\n0\n").unwrap();
        std::fs::write(sub.join("cgroup.procs"), "34\n").unwrap();
        let mut pids = all(dir.path()).unwrap();
        pids.sort_unstable();
        assert_eq!(pids, [12, 34]);
    }

    #[test]
    fn a_cgroup_that_is_gone_has_no_processes() {
        assert!(all(Path::new("/nonexistent/cgroup")).unwrap().is_empty());
    }
}
