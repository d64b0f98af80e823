//! Reads and writes single cgroup files.
//!
//! `O_CREAT` is never used: on cgroupfs it turns "no such file", which indicates a missing controller, into a
//! permission error. A final symbolic link is never followed either, since cgroupfs has none.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::CgroupError;

/// Opens `dir/name`; the standard library adds `O_CLOEXEC`.
pub(crate) fn open(dir: &Path, name: &str, read: bool, write: bool) -> io::Result<File> {
    OpenOptions::new().read(read).write(write).custom_flags(OFlag::O_NOFOLLOW.bits()).open(dir.join(name))
}

/// The contents of `dir/name`.
///
/// They are read straight into a buffer: asking for the size first, as the standard library does, is a wasted
/// call for files that report none.
pub(crate) fn read(dir: &Path, name: &str) -> io::Result<String> {
    slurp(&mut open(dir, name, true, false)?)
}

/// The rest of `file`.
pub(crate) fn slurp(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::with_capacity(1024);
    let mut chunk = [0; 4096];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    String::from_utf8(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

/// Writes `value` to `dir/name` in a single call, as cgroupfs requires.
pub(crate) fn write(dir: &Path, name: &str, value: &str) -> io::Result<()> {
    open(dir, name, false, true)?.write_all(value.as_bytes())
}

/// The number after `key ` in a flat keyed file such as `cgroup.events`.
pub(crate) fn keyed(content: &str, key: &str) -> Option<u64> {
    content.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Whether `error` only says that the cgroup does not exist, or vanished while it was read.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(rootling_sys::errno(error), Some(Errno::ENOENT | Errno::ENODEV))
}

/// The contents of `dir/name`; `None` if the file or the cgroup does not exist.
pub(crate) fn find(dir: &Path, name: &str) -> Result<Option<String>, CgroupError> {
    match read(dir, name) {
        Err(e) if is_gone(&e) => Ok(None),
        other => other.map(Some).map_err(|source| CgroupError::Read { path: dir.join(name), source }),
    }
}

/// Whether `error` only says that the caller lacks permission.
///
/// A read-only cgroup mount counts as well: for an ordinary user there is no difference.
pub(crate) fn is_denied(error: &io::Error) -> bool {
    matches!(rootling_sys::errno(error), Some(Errno::EACCES | Errno::EPERM | Errno::EROFS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyed_file_is_read_by_whole_key() {
        let events = "populated 1\nfrozen 0\n";
        assert_eq!(keyed(events, "frozen"), Some(0));
        assert_eq!(keyed(events, "populated"), Some(1));
        assert_eq!(keyed(events, "pop"), None);
    }

    #[test]
    fn a_missing_file_is_reported_and_not_created() {
        let dir = tempfile::tempdir().unwrap();
        let error = write(dir.path(), "memory.max", "1").unwrap_err();
        assert!(is_gone(&error));
        assert!(!dir.path().join("memory.max").exists());
    }

    #[test]
    fn a_symbolic_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("real"), "").unwrap();
        std::os::unix::fs::symlink("real", dir.path().join("pids.max")).unwrap();
        assert!(write(dir.path(), "pids.max", "1").is_err());
    }
}
