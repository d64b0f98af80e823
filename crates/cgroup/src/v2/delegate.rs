//! Handing a cgroup to the user that the container's process is, outside.

use std::path::Path;

use nix::errno::Errno;

use crate::{CgroupError, file};

/// The kernel's list of the files that a delegated cgroup's owner may write (Linux 4.15).
const LIST: &str = "/sys/kernel/cgroup/delegate";

/// What was on the list when it was made.
const BASE: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

/// Gives `dir` and its delegatable files to `uid`. The limits in it stay whose they are.
pub(crate) fn delegate(dir: &Path, uid: u32) -> Result<(), CgroupError> {
    let names = std::fs::read_to_string(LIST).unwrap_or_else(|_| BASE.to_owned());
    let chown = |path: &Path| match std::os::unix::fs::lchown(path, Some(uid), None) {
        // Each controller adds its own, and not all are enabled.
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
