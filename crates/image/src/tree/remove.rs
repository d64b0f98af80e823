//! Removes a file or a whole directory by descriptor.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, fstat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use rootling_sys as sys;
use rootling_sys::directory::entries_of;

use super::place::{enter, os};
use crate::error::{Result, Said, shown};

/// Removes the file with this name in an open directory, with everything below it; does nothing if it does not
/// exist.
pub(crate) fn remove_at(at: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    match unlinkat(Some(at.as_raw_fd()), os(name), UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => return Ok(()),
        Err(Errno::EISDIR | Errno::EPERM) => {}
        Err(errno) => return Err(errno).said(|| format!("unlink {}", shown(name))),
    }
    let dir = enter(at, name).said(|| format!("open {}", shown(name)))?;
    let closed = |mode| mode & Mode::S_IRWXU.bits() != Mode::S_IRWXU.bits();
    if fstat(dir.as_raw_fd()).is_ok_and(|found| closed(found.st_mode)) {
        // Its owner may change nothing in it otherwise, unless it is root. Where this fails, what comes next says so.
        let _ = sys::path::change_mode(dir.as_fd(), 0o700);
    }
    for entry in names(dir.as_fd())? {
        remove_at(dir.as_fd(), entry.as_bytes())?;
    }
    drop(dir);
    match unlinkat(Some(at.as_raw_fd()), os(name), UnlinkatFlags::RemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno).said(|| format!("rmdir {}", shown(name))),
    }
}

/// The names in a directory, even if its mode lets nobody read it.
pub(crate) fn names(dir: BorrowedFd<'_>) -> Result<Vec<std::ffi::OsString>> {
    let read = |dir| entries_of(dir).map(|all| all.into_iter().map(|entry| entry.name).collect());
    let first = read(dir);
    let refused = first.as_ref().err() == Some(&Errno::EACCES);
    if refused && sys::path::change_mode(dir, 0o700).is_ok() {
        return read(dir).said(|| "read a directory");
    }
    first.said(|| "read a directory")
}

/// Removes a directory with everything in it.
///
/// # Errors
/// Something in it cannot be removed.
pub fn remove(path: &Path) -> Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let parent =
        open(parent, flags, Mode::empty()).map(sys::fds::adopt).said(|| format!("open({parent:?})"))?;
    // The owner may not be permitted to change the directory.
    if enter(parent.as_fd(), name).is_ok() {
        let at = Some(parent.as_raw_fd());
        let _ = fchmodat(at, os(name), Mode::S_IRWXU, FchmodatFlags::FollowSymlink);
    }
    remove_at(parent.as_fd(), name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn what_a_link_leads_to_stays() {
        let (dir, outside) =
            (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        std::fs::write(outside.path().join("stays"), "").expect("a file");
        let tree = dir.path().join("tree");
        for name in ["closed", "kept"] {
            std::fs::create_dir_all(tree.join("deep").join(name)).expect("directories");
        }
        symlink(outside.path(), tree.join("deep/link")).expect("a link");
        std::fs::write(tree.join("deep/kept/file"), "").expect("a file");
        for (name, mode) in [("closed", 0o000), ("kept", 0o555), ("", 0o444)] {
            let path = tree.join("deep").join(name);
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("chmod");
        }
        remove(&tree).expect("remove");
        assert!(!tree.exists() && outside.path().join("stays").exists());
        remove(&tree).expect("nothing to remove");
    }
}
