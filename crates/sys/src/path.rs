//! Paths of a container: what they are relative to its root, and which mount an open file is on.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

/// The maximum length of a path, including the terminating NUL; limits.h.
pub const PATH_MAX: usize = libc::PATH_MAX as usize;

/// Makes a path of the container relative to its root.
pub fn relative(path: &Path) -> PathBuf {
    let relative = path.strip_prefix("/").unwrap_or(path);
    if relative.as_os_str().is_empty() { PathBuf::from(".") } else { relative.to_owned() }
}

/// Removes `.`, `..` and doubled slashes from a path, as if nothing in it were a link.
pub fn clean(path: &Path) -> PathBuf {
    // Nearly every path is clean, and this is called several times for each mount.
    if is_clean(path.as_os_str().as_bytes()) {
        return path.to_owned();
    }
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

fn is_clean(path: &[u8]) -> bool {
    let Some(below) = path.strip_prefix(b"/") else { return false };
    below.is_empty() || below.split(|byte| *byte == b'/').all(|name| !matches!(name, b"" | b"." | b".."))
}

/// Identifies an open file by the mount that it is on, the device and the inode. Two descriptors with the same
/// identity lead to the same place (statx(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    mount: MountNumber,
    device: (u32, u32),
    inode: u64,
    kind: u16,
}

/// What tells mounts apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MountNumber {
    /// `STATX_MNT_ID_UNIQUE`, Linux 6.8: grows with each mount that is made.
    Unique(u64),
    /// `STATX_MNT_ID`, Linux 5.8: may be that of an earlier mount.
    Reused(u64),
    /// A seccomp filter around this program may refuse statx(2), for which the C library then makes up without them.
    Unknown,
}

impl Identity {
    /// Whether both are the same file, no matter on which mounts.
    pub fn is_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether both are on the same mount, as far as the kernel tells.
    pub fn is_on_mount_of(&self, other: &Self) -> bool {
        self.mount == other.mount
    }

    /// Whether its mount was made after that of the other; `None` if the kernel does not tell, before Linux 6.8.
    pub fn is_made_after(&self, other: &Self) -> Option<bool> {
        match (self.mount, other.mount) {
            (MountNumber::Unique(this), MountNumber::Unique(other)) => Some(this > other),
            _ => None,
        }
    }

    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        u32::from(self.kind) == libc::S_IFDIR
    }
}

fn statx(dir: RawFd, path: &CStr, flags: i32, mask: u32) -> Result<libc::statx, Errno> {
    // SAFETY: statx is plain data for which all zeroes is valid.
    let mut stat: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the path is a C string, and the structure for the answer outlives the call.
    let ret = unsafe { libc::statx(dir, path.as_ptr(), flags, mask, &raw mut stat) };
    super::check(ret.into()).map(|_| stat)
}

/// Whether something is mounted on the path itself, without following a link; `None` if the kernel does not
/// tell, before Linux 5.8.
pub fn is_mount_root(path: &Path) -> Result<Option<bool>, Errno> {
    const MOUNT_ROOT: u64 = libc::STATX_ATTR_MOUNT_ROOT as u64;
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    match statx(libc::AT_FDCWD, &path, libc::AT_SYMLINK_NOFOLLOW, 0) {
        Ok(stat) if stat.stx_attributes_mask & MOUNT_ROOT != 0 => {
            Ok(Some(stat.stx_attributes & MOUNT_ROOT != 0))
        }
        Ok(_) | Err(Errno::ENOSYS) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Determines the identity of an open file.
pub fn identity(fd: BorrowedFd<'_>) -> Result<Identity, Errno> {
    // A kernel that does not know the unique number gives the other one.
    let mask = libc::STATX_TYPE | libc::STATX_INO | libc::STATX_MNT_ID | libc::STATX_MNT_ID_UNIQUE;
    let stat = statx(fd.as_raw_fd(), c"", libc::AT_EMPTY_PATH, mask)?;
    let has = |bit| stat.stx_mask & bit != 0;
    let mount = match stat.stx_mnt_id {
        id if has(libc::STATX_MNT_ID_UNIQUE) => MountNumber::Unique(id),
        id if has(libc::STATX_MNT_ID) => MountNumber::Reused(id),
        _ => MountNumber::Unknown,
    };
    Ok(Identity {
        mount,
        device: (stat.stx_dev_major, stat.stx_dev_minor),
        inode: stat.stx_ino,
        kind: stat.stx_mode & libc::S_IFMT as u16,
    })
}

/// The id of the mount that an open file is on, as in mountinfo (statx(2), `STATX_MNT_ID`, Linux 5.8).
pub fn mount_id(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    statx(fd.as_raw_fd(), c"", libc::AT_EMPTY_PATH, libc::STATX_MNT_ID).map(|stat| stat.stx_mnt_id)
}

/// Changes the mode of a file that was opened with `O_PATH`, and never that of another file which may have its
/// name by now: fchmodat2(2), Linux 6.6; before that, through /proc.
///
/// # Errors
///
/// `ENOSYS` where there is neither: [`change_mode_by`] takes another /proc.
pub fn change_mode(fd: BorrowedFd<'_>, mode: u32) -> Result<(), Errno> {
    match fchmodat2(fd.as_raw_fd(), mode) {
        // By a filter around this program, or by the rights to the file: only a filter refuses it for no file.
        Err(Errno::ENOSYS | Errno::EPERM) if fchmodat2(-1, mode) != Err(Errno::EBADF) => {
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let proc = open("/proc", flags, Mode::empty()).map(super::fds::adopt);
            change_mode_by(proc.map_err(|_| Errno::ENOSYS)?.as_fd(), fd, mode)
        }
        other => other,
    }
}

/// The same through this directory, whose links lead to the files themselves if it is procfs.
///
/// # Errors
///
/// `ENOSYS` if it is not procfs, or has not got this process.
pub fn change_mode_by(proc: BorrowedFd<'_>, fd: BorrowedFd<'_>, mode: u32) -> Result<(), Errno> {
    if fstatfs(proc)?.filesystem_type() != PROC_SUPER_MAGIC {
        return Err(Errno::ENOSYS);
    }
    let link = format!("self/fd/{}", fd.as_raw_fd());
    let mode = Mode::from_bits_truncate(mode);
    match fchmodat(Some(proc.as_raw_fd()), link.as_str(), mode, FchmodatFlags::FollowSymlink) {
        Err(Errno::ENOENT) => Err(Errno::ENOSYS),
        other => other,
    }
}

fn fchmodat2(fd: RawFd, mode: u32) -> Result<(), Errno> {
    // linux/unistd.h: the number is the same on every architecture; the libc crate has no name for it.
    const SYS_FCHMODAT2: libc::c_long = 452;
    // SAFETY: the path is an empty C string.
    let ret = unsafe { libc::syscall(SYS_FCHMODAT2, fd, c"".as_ptr(), mode, libc::AT_EMPTY_PATH) };
    super::check(ret).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_path_has_no_detours() {
        for (path, wanted) in [
            ("/a/./b//c", "/a/b/c"),
            ("/a/../../b", "/b"),
            ("", "/"),
            ("a", "/a"),
            ("/..", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/a/", "/a"),
            ("/a/.", "/a"),
            ("/a/..b/.c/d..", "/a/..b/.c/d.."),
        ] {
            assert_eq!(clean(Path::new(path)).as_os_str(), wanted, "{path:?}");
        }
    }

    #[test]
    fn mounts_are_told_from_what_is_on_them() {
        assert_eq!(is_mount_root(Path::new("/proc")), Ok(Some(true)));
        assert_eq!(is_mount_root(Path::new("/proc/self")), Ok(Some(false)));
        assert_eq!(is_mount_root(Path::new("/proc/nothing")), Err(Errno::ENOENT));
    }

    #[test]
    fn a_relative_path_names_the_root_by_a_dot() {
        assert_eq!(relative(Path::new("/")), Path::new("."));
        assert_eq!(relative(Path::new("/a/b")), Path::new("a/b"));
    }
}
