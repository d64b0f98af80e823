//! The interface between the facts and the machine. Each method is a single access.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use caps::CapSet;
use nix::fcntl::AtFlags;
use nix::sys::stat::{major, minor};
use nix::unistd::{AccessFlags, faccessat};
use rootling_sys as sys;

use super::getsubids;

/// A way of opening a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To read it.
    Read,
    /// To write to it.
    Write,
    /// To search a directory.
    Search,
}

/// The type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A character device.
    Char,
    /// A block device.
    Block,
    /// A named pipe.
    Fifo,
    /// Anything else.
    Other,
}

/// The result of stat(2), as far as it is used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeFacts {
    /// The type of file.
    pub kind: NodeKind,
    /// Permission bits with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// The owner, as the caller's user namespace numbers it.
    pub uid: u32,
    /// The major number, if it is a device.
    pub major: u32,
    /// The minor number, if it is a device.
    pub minor: u32,
    /// The device number of the file system that the file is on.
    pub dev: u64,
    /// The inode number of the file on that file system.
    pub ino: u64,
}

impl NodeFacts {
    /// Whether both are the same file.
    pub fn same_file(&self, other: &Self) -> bool {
        (self.dev, self.ino) == (other.dev, other.ino)
    }
}

/// The result of statfs(2), as far as it is used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FsFacts {
    /// `f_type`, a `*_MAGIC` of linux/magic.h.
    pub magic: u64,
    /// `f_flags`, the `ST_*` bits of the mount.
    pub flags: u64,
}

/// The accesses to a machine from which facts are derived.
pub trait Machine {
    /// geteuid(2)
    fn euid(&self) -> u32;
    /// getegid(2)
    fn egid(&self) -> u32;
    /// The effective set of capget(2), bit n for capability n.
    fn capabilities(&self) -> io::Result<u64>;
    /// `PR_GET_NO_NEW_PRIVS` of prctl(2).
    fn no_new_privs(&self) -> bool;
    /// The release of uname(2).
    fn kernel_release(&self) -> String;
    /// The directories in `PATH`.
    fn search_path(&self) -> Vec<PathBuf>;
    /// The contents of a small text file; bytes that are not UTF-8 are replaced.
    fn read(&self, path: &Path) -> io::Result<String>;
    /// The subdirectories of a directory; none if it cannot be read.
    fn directories(&self, path: &Path) -> Vec<PathBuf>;
    /// stat(2)
    fn stat(&self, path: &Path) -> io::Result<NodeFacts>;
    /// statfs(2)
    fn statfs(&self, path: &Path) -> io::Result<FsFacts>;
    /// Whether something is mounted on `path` itself.
    fn is_mount_point(&self, path: &Path) -> io::Result<bool>;
    /// faccessat2(2) with effective ids.
    fn may(&self, path: &Path, access: Access) -> bool;
    /// The raw extended attribute `security.capability`; capabilities(7).
    fn file_capabilities(&self, path: &Path) -> Option<Vec<u8>>;
    /// An environment variable.
    fn variable(&self, name: &str) -> Option<OsString>;
    /// The device and inode number of the user namespace that owns the namespace at `path`; `ioctl_ns`(2).
    fn namespace_owner(&self, path: &Path) -> io::Result<(u64, u64)>;
    /// What `program` prints; an error if it fails or takes too long.
    fn run(&self, program: &Path, args: &[&str]) -> io::Result<String>;
}

/// The machine that this runs on.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Machine for System {
    fn euid(&self) -> u32 {
        nix::unistd::geteuid().as_raw()
    }

    fn egid(&self) -> u32 {
        nix::unistd::getegid().as_raw()
    }

    fn capabilities(&self) -> io::Result<u64> {
        let effective = caps::read(None, CapSet::Effective).map_err(io::Error::other)?;
        Ok(effective.into_iter().fold(0, |all, capability| all | capability.bitmask()))
    }

    fn no_new_privs(&self) -> bool {
        nix::sys::prctl::get_no_new_privs().unwrap_or(false)
    }

    fn kernel_release(&self) -> String {
        let uname = nix::sys::utsname::uname();
        uname.map(|uname| uname.release().to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn search_path(&self) -> Vec<PathBuf> {
        std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        // Lossy, since one odd byte in somebody's full name must not hide the whole of /etc/passwd.
        Ok(String::from_utf8_lossy(&std::fs::read(path)?).into_owned())
    }

    fn directories(&self, path: &Path) -> Vec<PathBuf> {
        let entries = sys::directory::entries(path).unwrap_or_default();
        entries.into_iter().map(|entry| path.join(entry.name)).filter(|path| path.is_dir()).collect()
    }

    fn stat(&self, path: &Path) -> io::Result<NodeFacts> {
        let meta = std::fs::metadata(path)?;
        let typ = meta.file_type();
        let kind = match () {
            () if typ.is_file() => NodeKind::File,
            () if typ.is_dir() => NodeKind::Directory,
            () if typ.is_char_device() => NodeKind::Char,
            () if typ.is_block_device() => NodeKind::Block,
            () if typ.is_fifo() => NodeKind::Fifo,
            () => NodeKind::Other,
        };
        Ok(NodeFacts {
            kind,
            mode: meta.mode() & 0o7777,
            uid: meta.uid(),
            major: major(meta.rdev()) as u32,
            minor: minor(meta.rdev()) as u32,
            dev: meta.dev(),
            ino: meta.ino(),
        })
    }

    fn statfs(&self, path: &Path) -> io::Result<FsFacts> {
        let facts = sys::mount::facts_at(path)?;
        Ok(FsFacts { magic: facts.magic, flags: facts.flags })
    }

    fn is_mount_point(&self, path: &Path) -> io::Result<bool> {
        if let Some(known) = sys::path::is_mount_root(path)? {
            return Ok(known);
        }
        // This detects another file system, but not a bind mount within the same one.
        let parent = path.parent().unwrap_or(path);
        Ok(std::fs::symlink_metadata(path)?.dev() != std::fs::symlink_metadata(parent)?.dev())
    }

    fn may(&self, path: &Path, access: Access) -> bool {
        let wanted = match access {
            Access::Read => AccessFlags::R_OK,
            Access::Write => AccessFlags::W_OK,
            Access::Search => AccessFlags::X_OK,
        };
        faccessat(None, path, wanted, AtFlags::AT_EACCESS).is_ok()
    }

    fn file_capabilities(&self, path: &Path) -> Option<Vec<u8>> {
        sys::file::attribute(path, c"security.capability").ok()
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn namespace_owner(&self, path: &Path) -> io::Result<(u64, u64)> {
        let owner = sys::namespace::namespace_owner(&std::fs::File::open(path)?)?;
        let facts = nix::sys::stat::fstat(owner.as_raw_fd())?;
        Ok((facts.st_dev, facts.st_ino))
    }

    fn run(&self, program: &Path, args: &[&str]) -> io::Result<String> {
        getsubids::run(program, args, getsubids::LIMIT)
    }
}
