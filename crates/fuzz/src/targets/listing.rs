//! Everything that is below a directory, to be compared.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat};
use rootling_sys as sys;

/// As much of a file's content as is compared; a sparse one may seem to be as large as it likes.
const CONTENT: usize = 4096;

/// Something below the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: SFlag,
    mode: u32,
    owner: (u32, u32),
    /// That of a file.
    size: i64,
    /// In blocks of 512 bytes.
    blocks: i64,
    links: nix::libc::nlink_t,
    /// Where a link leads, or how a file begins.
    content: Vec<u8>,
    /// When its content and when anything of it was changed, in nanoseconds; not that of directories, which change with what is
    /// made in them.
    pub(super) modified: i128,
    pub(super) changed: i128,
    inode: u64,
}

/// By paths, as lists of names: a path may be longer than the kernel takes one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) entries: BTreeMap<Vec<OsString>, Entry>,
    /// Modes of the archive's keep the caller from looking at these, where it is not root.
    closed: u64,
}

impl Listing {
    /// All that is below a directory, links not followed.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let root = File::options().read(true).custom_flags(flags.bits()).open(path)?;
        let mut listing = Self::default();
        listing.add(root.as_fd(), &mut Vec::new())?;
        Ok(listing)
    }

    fn add(&mut self, directory: BorrowedFd<'_>, path: &mut Vec<OsString>) -> io::Result<()> {
        let names = match sys::directory::entries_of(directory) {
            Err(Errno::EACCES) => {
                self.closed += 1;
                return Ok(());
            }
            other => other?,
        };
        for name in names {
            let at = Some(directory.as_raw_fd());
            path.push(name.name);
            let name = path[path.len() - 1].as_os_str();
            let found = match fstatat(at, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                Err(Errno::EACCES) => None,
                other => Some(other?),
            };
            self.closed += u64::from(found.is_none());
            if let Some(found) = found {
                let kind = sys::file::kind(found.st_mode);
                let content = match kind {
                    SFlag::S_IFLNK => readlinkat(at, name).map(OsString::into_encoded_bytes)?,
                    SFlag::S_IFREG => begin(open(directory, name, OFlag::O_RDONLY))?,
                    _ => Vec::new(),
                };
                let below = (kind == SFlag::S_IFDIR).then(|| open(directory, name, OFlag::O_PATH));
                self.entries.insert(path.clone(), Entry::new(&found, content));
                match below {
                    Some(Ok(below)) => self.add(below.as_fd(), path)?,
                    None => {}
                    Some(Err(Errno::EACCES)) => self.closed += 1,
                    Some(Err(errno)) => return Err(errno.into()),
                }
            }
            path.pop();
        }
        Ok(())
    }

    /// The same without what two runs cannot have in common: inodes and times of changes; without times of modification too,
    /// where the run was broken off.
    pub(super) fn comparable(mut self, whole: bool) -> Self {
        for entry in self.entries.values_mut() {
            (entry.inode, entry.changed) = (0, 0);
            if !whole || entry.kind == SFlag::S_IFDIR {
                entry.modified = 0;
            }
        }
        self
    }

    /// Whether there is nothing that the caller may not look at.
    pub(super) fn is_whole(&self) -> bool {
        self.closed == 0
    }

    /// A file that has another name somewhere else.
    pub(super) fn linked_elsewhere(&self) -> Option<&[OsString]> {
        let mut seen: BTreeMap<u64, nix::libc::nlink_t> = BTreeMap::new();
        let files = || self.entries.iter().filter(|(_, entry)| entry.kind != SFlag::S_IFDIR);
        files().for_each(|(_, entry)| *seen.entry(entry.inode).or_default() += 1);
        let found = files().find(|(_, entry)| seen.get(&entry.inode) != Some(&entry.links));
        found.map(|(path, _)| path.as_slice())
    }

    /// What the files take of the disk, in bytes.
    pub(super) fn allocated(&self) -> u64 {
        let files: BTreeMap<u64, i64> =
            self.entries.values().map(|entry| (entry.inode, entry.blocks)).collect();
        files.values().map(|blocks| *blocks as u64 * 512).sum()
    }

    /// What kinds of files there are.
    pub(super) fn words(&self) -> String {
        let has = |is: fn(&Entry) -> bool| self.entries.values().any(is);
        let all = [
            ("files", has(|entry| entry.kind == SFlag::S_IFREG)),
            ("links", has(|entry| entry.kind == SFlag::S_IFLNK)),
            ("pipes", has(|entry| entry.kind == SFlag::S_IFIFO)),
            ("hard links", has(|entry| entry.kind != SFlag::S_IFDIR && entry.links > 1)),
            ("holes", has(|entry| entry.kind == SFlag::S_IFREG && entry.blocks * 512 < entry.size)),
            ("set-id bits", has(|entry| entry.mode & 0o6000 != 0)),
            ("other owners", has(|entry| entry.owner != (0, 0))),
        ];
        let there = all.into_iter().filter_map(|(word, is)| is.then_some(word));
        ["the tree has directories"].into_iter().chain(there).collect::<Vec<_>>().join(", ")
    }

    /// The first path of which the other listing says something else.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let all = self.entries.keys().chain(other.entries.keys());
        let path = all.into_iter().find(|path| self.entries.get(*path) != other.entries.get(*path))?;
        Some(format!("{path:?}: {:?} and {:?}", self.entries.get(path), other.entries.get(path)))
    }
}

impl Entry {
    fn new(found: &FileStat, content: Vec<u8>) -> Self {
        let kind = sys::file::kind(found.st_mode);
        let is_directory = kind == SFlag::S_IFDIR;
        let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            kind,
            mode: found.st_mode,
            owner: (found.st_uid, found.st_gid),
            size: if is_directory { 0 } else { found.st_size },
            blocks: if is_directory { 0 } else { found.st_blocks },
            links: found.st_nlink,
            content,
            modified: nanoseconds(found.st_mtime, found.st_mtime_nsec),
            changed: nanoseconds(found.st_ctime, found.st_ctime_nsec),
            inode: found.st_ino,
        }
    }
}

fn open(directory: BorrowedFd<'_>, name: &std::ffi::OsStr, how: OFlag) -> Result<OwnedFd, Errno> {
    let flags = how | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(Some(directory.as_raw_fd()), name, flags, Mode::empty()).map(sys::fds::adopt)
}

/// How a file begins; nothing of one that its mode lets nobody read.
fn begin(file: Result<OwnedFd, Errno>) -> io::Result<Vec<u8>> {
    let file = match file {
        Err(Errno::EACCES) => return Ok(Vec::new()),
        other => File::from(other?),
    };
    let mut begin = vec![0; CONTENT];
    let length = file.read_at(&mut begin, 0)?;
    begin.truncate(length);
    Ok(begin)
}
