//! Delegates a cgroup to the host user as whom the container's process runs.

use std::path::Path;

use nix::errno::Errno;

use crate::{CgroupError, file};

/// The kernel's list of the files that the owner of a delegated cgroup may write to (Linux 4.15).
const LIST: &str = "/sys/kernel/cgroup/delegate";

/// The contents of the list when it was introduced.
const BASE: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

/// Gives `dir` and its delegatable files to `uid`. The files with its limits keep their owner.
pub(crate) fn delegate(dir: &Path, uid: u32) -> Result<(), CgroupError> {
    let names = std::fs::read_to_string(LIST).unwrap_or_else(|_| BASE.to_owned());
    let chown = |path: &Path| match std::os::unix::fs::lchown(path, Some(uid), None) {
        // Each controller adds its own files, and not all controllers are enabled.
        Err(e) if file::is_gone(&e) => Ok(()),
        Err(source) => Err(CgroupError::Delegate { path: path.to_owned(), uid, source }),
        Ok(()) => Ok(()),
    };
    if !dir.is_dir() {
        let source = Errno::ENOENT.into();
        return Err(CgroupError::Read { path: dir.to_owned(), source });
    }
    chown(dir)?;
    names.lines().filter(|name| !name.is_empty() && !name.contains('/')).try_for_each(|n| chown(&dir.join(n)))
}
