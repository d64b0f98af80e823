//! Copies a directory through descriptors: `tmpcopyup` copies from the image into a tmpfs.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmodat, fstat, fstatat, mkdirat, mknodat};
use nix::unistd::{Gid, Uid, fchownat, symlinkat};

use rootling_sys as sys;

use crate::error::{Context, Error, Result};

/// The depth limit; no image is meant to be copied deeper than this.
const DEPTH: usize = 64;

/// Copies the contents of the directory `from` into the directory `to`, with modes and owners.
pub(crate) fn copy_tree(from: &OwnedFd, to: &OwnedFd) -> Result<()> {
    copy_dir(from.as_raw_fd(), to.as_raw_fd(), DEPTH)
}

fn copy_dir(from: RawFd, to: RawFd, depth: usize) -> Result<()> {
    let deeper =
        depth.checked_sub(1).ok_or_else(|| Error::invalid(format!("more than {DEPTH} directories deep")))?;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut dir = Dir::openat(Some(from), ".", flags, Mode::empty()).context(|| "open directory")?;
    for entry in dir.iter() {
        let entry = entry.context(|| "read directory")?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            copy_entry(from, to, name, deeper).map_err(|e| e.wrap(format!("{name:?}")))?;
        }
    }
    Ok(())
}

fn copy_entry(from: RawFd, to: RawFd, name: &CStr, depth: usize) -> Result<()> {
    let stat = fstatat(Some(from), name, AtFlags::AT_SYMLINK_NOFOLLOW).context(|| "stat")?;
    let mode = Mode::from_bits_truncate(stat.st_mode & 0o7777);
    match sys::file::kind(stat.st_mode) {
        SFlag::S_IFDIR => {
            mkdirat(Some(to), name, Mode::from_bits_truncate(0o700)).context(|| "mkdir")?;
            let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let open =
                |at| openat(Some(at), name, flags, Mode::empty()).map(sys::fds::adopt).context(|| "open");
            copy_dir(open(from)?.as_raw_fd(), open(to)?.as_raw_fd(), depth)?;
        }
        SFlag::S_IFREG => copy_file(from, to, name)?,
        SFlag::S_IFLNK => {
            let target = readlinkat(Some(from), name).context(|| "readlink")?;
            symlinkat(target.as_os_str(), Some(to), name).context(|| "symlink")?;
            own(to, name, &stat);
            return Ok(());
        }
        kind => {
            mknodat(Some(to), name, kind, mode, stat.st_rdev).context(|| "mknod")?;
        }
    }
    own(to, name, &stat);
    fchmodat(Some(to), name, mode, FchmodatFlags::FollowSymlink).context(|| "chmod")
}

fn own(to: RawFd, name: &CStr, stat: &FileStat) {
    let (uid, gid) = (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
    // Ids that are not mapped cannot be assigned; the container's root is the owner then.
    let _ = fchownat(Some(to), name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW);
}

fn copy_file(from: RawFd, to: RawFd, name: &CStr) -> Result<()> {
    // It may be another file by now, such as a FIFO without a writer: its type is checked again once it is open.
    let read = sys::file::OPEN_FLAGS | OFlag::O_NOFOLLOW;
    let write = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let source = openat(Some(from), name, read, Mode::empty()).map(sys::fds::adopt).context(|| "open")?;
    let found = fstat(source.as_raw_fd()).context(|| "stat")?;
    if sys::file::kind(found.st_mode) != SFlag::S_IFREG {
        return Err(Error::invalid("was a regular file and no longer is: something is changing the image"));
    }
    let target = openat(Some(to), name, write, Mode::from_bits_truncate(0o600))
        .map(sys::fds::adopt)
        .context(|| "create")?;
    std::io::copy(&mut std::fs::File::from(source), &mut std::fs::File::from(target))
        .context(|| "copy")
        .map(drop)
}
