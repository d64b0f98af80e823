//! Finds the place of an entry: the directories on the way to it, open.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag};
use nix::sys::stat::{FileStat, Mode, fstat, mkdirat};
use nix::sys::time::TimeSpec;
use rootling_sys as sys;
use rootling_sys::mount::openat2;

use crate::error::{Error, Result, Said, shown};

/// The maximum length of a path on Linux.
const LONGEST: usize = 4096;
const LONGEST_NAME: usize = 255;
/// A limit on the depth, since each open directory on the way takes a descriptor.
const DEEPEST: usize = 400;

/// Splits a path in an archive into its names; it must stay below the root. A leading `/` stands for that root.
pub(crate) fn components(path: &[u8]) -> Result<Vec<&[u8]>> {
    let wrong = |problem: &str| Error::invalid(format!("{}: {problem}", shown(path)));
    if path.contains(&0) {
        return Err(wrong("the name has a NUL in it, which no file's may have"));
    }
    let names: Vec<&[u8]> =
        path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".").collect();
    if names.contains(&&b".."[..]) {
        return Err(wrong("the name has `..` in it, which could lead out of the root file system"));
    }
    if path.len() > LONGEST || names.iter().any(|name| name.len() > LONGEST_NAME) {
        return Err(wrong("the name is longer than Linux allows: 4096 bytes, and 255 between slashes"));
    }
    if names.len() > DEEPEST {
        return Err(wrong("the name is more than 400 directories deep"));
    }
    Ok(names)
}

/// The access and modification times of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) access: TimeSpec,
    pub(crate) modification: TimeSpec,
}

/// A directory of the tree that is open with `O_PATH`.
#[derive(Debug)]
pub(crate) struct Dir {
    pub(crate) fd: OwnedFd,
    /// Its former times, to be restored: making entries in it changes them.
    times: Times,
    /// Whether what is made in it gets its group: inode(7), set-group-ID.
    gives_group: bool,
}

/// A name from an archive as a path.
pub(crate) fn os(name: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(name))
}

impl Dir {
    pub(crate) fn new(fd: OwnedFd) -> Result<Self> {
        let found = fstat(fd.as_raw_fd()).said(|| "fstat of a directory")?;
        Ok(Self { fd, times: times_of(&found), gives_group: found.st_mode & Mode::S_ISGID.bits() != 0 })
    }

    pub(crate) fn set_times(&mut self, times: Times) {
        self.times = times;
    }

    /// Restores the directory's times.
    fn leave(self) -> Result<()> {
        let Times { access, modification } = self.times;
        sys::file::set_times(self.as_fd(), access, modification).said(|| "utimensat of a directory")
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn times_of(stat: &FileStat) -> Times {
    Times {
        access: TimeSpec::new(stat.st_atime, stat.st_atime_nsec),
        modification: TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec),
    }
}

/// Opens a directory in an open one with `O_PATH`. Neither links nor mounts are followed.
pub(crate) fn enter(at: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    let resolve = ResolveFlag::RESOLVE_BENEATH
        | ResolveFlag::RESOLVE_NO_SYMLINKS
        | ResolveFlag::RESOLVE_NO_MAGICLINKS
        | ResolveFlag::RESOLVE_NO_XDEV;
    openat2(at, os(name), flags, resolve)
}

/// The directories from the root to the place of the last entry; most entries are next to the previous one.
#[derive(Debug)]
pub(crate) struct Way {
    root: Dir,
    below: Vec<(Vec<u8>, Dir)>,
    /// Directories that were made and have not been counted.
    made: u64,
}

impl Way {
    pub(crate) fn new(root: OwnedFd) -> Result<Self> {
        Ok(Self { root: Dir::new(root)?, below: Vec::new(), made: 0 })
    }

    /// The directory at which the way ends.
    pub(crate) fn end(&self) -> BorrowedFd<'_> {
        self.below.last().map_or(self.root.as_fd(), |(_, dir)| dir.as_fd())
    }

    /// Whether the directory at which the way ends passes its group on to what is made in it.
    pub(crate) fn gives_group(&self) -> bool {
        self.below.last().map_or(&self.root, |(_, dir)| dir).gives_group
    }

    pub(crate) fn end_mut(&mut self) -> &mut Dir {
        self.below.last_mut().map_or(&mut self.root, |(_, dir)| dir)
    }

    /// Goes to the directory with these names. If `make` is set, missing directories are made, owned by root.
    /// Returns whether the directory exists.
    pub(crate) fn go(&mut self, names: &[&[u8]], make: bool) -> Result<bool> {
        let common = self.below.iter().zip(names).take_while(|((known, _), name)| known == *name).count();
        self.back_to(common)?;
        for name in &names[common..] {
            let end = self.end();
            let found = match enter(end, name) {
                Err(Errno::ENOENT) if make => {
                    mkdirat(Some(end.as_raw_fd()), os(name), Mode::from_bits_truncate(0o755))
                        .said(|| format!("mkdir {}", shown(name)))?;
                    let fd = enter(end, name);
                    self.made += 1;
                    fd
                }
                other => other,
            };
            match found {
                Ok(fd) => self.below.push((name.to_vec(), Dir::new(fd)?)),
                Err(Errno::ENOENT) if !make => return Ok(false),
                Err(errno) => return Err(not_a_directory(errno, &names.join(&b'/'), name)),
            }
        }
        Ok(true)
    }

    /// How many directories were made since this was asked last: one name may ask for hundreds.
    pub(crate) fn made(&mut self) -> u64 {
        std::mem::take(&mut self.made)
    }

    /// Opens the directory with these names beside the way, which stays.
    pub(crate) fn open(&self, names: &[&[u8]]) -> Result<Option<OwnedFd>> {
        let common = self.below.iter().zip(names).take_while(|((known, _), name)| known == *name).count();
        let start = if common == 0 { self.root.as_fd() } else { self.below[common - 1].1.as_fd() };
        let mut at = sys::fds::duplicate(start).said(|| "dup")?;
        for name in &names[common..] {
            match enter(at.as_fd(), name) {
                Ok(fd) => at = fd,
                Err(Errno::ENOENT) => return Ok(None),
                Err(errno) => return Err(not_a_directory(errno, &names.join(&b'/'), name)),
            }
        }
        Ok(Some(at))
    }

    /// Goes back to this many names, and restores the times of the directories that are left.
    pub(crate) fn back_to(&mut self, length: usize) -> Result<()> {
        while self.below.len() > length {
            if let Some((_, dir)) = self.below.pop() {
                dir.leave()?;
            }
        }
        Ok(())
    }

    /// Restores the times of all directories.
    pub(crate) fn leave(mut self) -> Result<()> {
        self.back_to(0)?;
        self.root.leave()
    }
}

fn not_a_directory(errno: Errno, path: &[u8], name: &[u8]) -> Error {
    let what = match errno {
        Errno::ENOTDIR | Errno::ELOOP => {
            format!("{} on the way there is a link or a file, and no link is followed", shown(name))
        }
        other => format!("{}: {other}", shown(name)),
    };
    Error::invalid(format!("an entry below {}: {what}", shown(path)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn root(dir: &Path) -> OwnedFd {
        std::fs::File::open(dir).expect("open").into()
    }

    #[test]
    fn names_stay_below_the_root() {
        assert_eq!(components(b"/a/./b//c/").expect("names"), [b"a", b"b", b"c"]);
        assert!(components(b"./").expect("the root").is_empty());
        let long = vec![b'a'; 5000];
        let deep = b"a/".repeat(500);
        for path in [&b".."[..], b"a/../b", b"/..", b"a\0b", &long, &long[..256], &deep] {
            assert!(components(path).is_err(), "{}", shown(path));
        }
    }

    #[test]
    fn no_link_is_followed_on_the_way() {
        let (dir, outside) =
            (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        symlink(outside.path(), dir.path().join("out")).expect("a link");
        symlink(".", dir.path().join("self")).expect("a link");
        std::fs::write(dir.path().join("file"), "").expect("a file");
        let mut way = Way::new(root(dir.path())).expect("a way");
        for name in ["out", "self", "file"] {
            let error = way.go(&[name.as_bytes(), b"x"], true).expect_err(name).to_string();
            assert!(error.contains("no link is followed"), "{error}");
            assert!(way.open(&[name.as_bytes()]).is_err(), "{name}");
        }
        assert!(rootling_sys::directory::entries(outside.path()).expect("a list").is_empty());
        assert!(way.go(&[b"new", b"deep"], true).expect("a way"));
        assert!(dir.path().join("new/deep").is_dir());
        assert!(!way.go(&[b"missing"], false).expect("a way"));
    }

    #[test]
    fn what_is_made_in_a_directory_leaves_its_times() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("d")).expect("d");
        let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000);
        let open = std::fs::File::open(dir.path().join("d")).expect("open");
        open.set_modified(old).expect("times");
        let mut way = Way::new(root(dir.path())).expect("a way");
        way.go(&[b"d", b"new"], true).expect("a way");
        way.leave().expect("times");
        assert_eq!(open.metadata().expect("stat").modified().expect("a time"), old);
    }
}
