//! The entries of a directory, read all at once.
//!
//! `std::fs::read_dir` panics if closing the directory fails, as on a file system that has lost its device.
//! Here such a failure is ignored, since everything has been read by then.

use std::ffi::OsString;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, fstatat};

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: OsString,
    /// Whether it is a directory, rather than a link to one.
    pub is_directory: bool,
}

/// All entries of a directory, except `.` and `..`.
pub fn entries(path: &Path) -> Result<Vec<Entry>, Errno> {
    read(Dir::open(path, FLAGS, Mode::empty())?)
}

/// The entries of an open directory, for which an `O_PATH` descriptor is sufficient.
pub fn entries_of(directory: BorrowedFd<'_>) -> Result<Vec<Entry>, Errno> {
    read(Dir::openat(Some(directory.as_raw_fd()), ".", FLAGS, Mode::empty())?)
}

const FLAGS: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

fn read(mut directory: Dir) -> Result<Vec<Entry>, Errno> {
    let at = Some(directory.as_raw_fd());
    let mut found = Vec::new();
    for entry in directory.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let is_directory = match entry.file_type() {
            Some(kind) => kind == Type::Directory,
            // Not every file system reports the type: readdir(3).
            None => match fstatat(at, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(stat) => stat.st_mode & libc::S_IFMT == libc::S_IFDIR,
                // It has been removed meanwhile.
                Err(Errno::ENOENT) => continue,
                Err(errno) => return Err(errno),
            },
        };
        found.push(Entry { name: OsString::from_vec(name.to_bytes().to_vec()), is_directory });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn all_but_the_two_dots_is_there_with_its_kind() {
        let dir = std::env::temp_dir().join(format!("sys-directory-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("sub")).unwrap();
        std::fs::write(dir.join("file"), "").unwrap();
        symlink("sub", dir.join("link")).unwrap();
        let mut found = entries(&dir).unwrap();
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let kinds: Vec<_> = found.iter().map(|e| (e.name.to_str().unwrap(), e.is_directory)).collect();
        assert_eq!(kinds, [("file", false), ("link", false), ("sub", true)]);
        assert_eq!(entries_of(File::open(&dir).unwrap().as_fd()).unwrap().len(), 3);
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(entries(&dir), Err(Errno::ENOENT));
    }
}
