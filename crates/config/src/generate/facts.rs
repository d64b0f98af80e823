//! What the generator needs to know about the host.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::stat::{SFlag, major, minor};
use oci_spec::runtime::PosixRlimitType;

use crate::CgroupManager;
use crate::resources::LimitSupport;

/// Facts about the host and the caller, as plain values.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The caller's effective user id.
    pub uid: u32,
    /// The caller's effective group id.
    pub gid: u32,
    /// Whether the host has only cgroup v2.
    pub cgroup2: bool,
    /// Which limits its cgroups support for the caller.
    pub support: LimitSupport,
    /// Who makes the container's cgroup.
    pub cgroup_manager: CgroupManager,
    /// The caller's own `oom_score_adj`: an unprivileged process cannot set a lower value.
    pub oom_score_adj: i32,
    /// The caller's capability bounding set; bit n stands for capability n.
    pub capabilities: u64,
    /// The highest capability that the kernel knows.
    pub last_cap: u8,
    /// Hard resource limits of the caller, if it may not raise them; empty for root.
    pub hard_limits: Vec<(PosixRlimitType, u64)>,
    /// The kernel's version.
    pub kernel: (u32, u32),
    /// The lowest port that needs no privilege in the caller's network: ip(7); `None` if it is not known.
    pub first_free_port: Option<u32>,
    /// Whether the caller's group may send ICMP echo requests: icmp(7), `ping_group_range`.
    pub may_ping: bool,
    /// Whether AppArmor is enabled.
    pub apparmor: bool,
    /// Whether SELinux is enabled.
    pub selinux: bool,
    /// The directory in which relative paths of the command line start.
    pub cwd: PathBuf,
}

impl Facts {
    /// Whether the caller is not root.
    pub fn is_ordinary_user(&self) -> bool {
        self.uid != 0
    }
}

/// The type of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A character device with its major and minor number.
    Char(u32, u32),
    /// A block device with its major and minor number.
    Block(u32, u32),
    /// A directory.
    Directory,
    /// Anything else.
    Other,
}

/// A file of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its type.
    pub kind: NodeKind,
    /// Permission bits.
    pub mode: u32,
    /// User id of the owner.
    pub uid: u32,
    /// Group id of the owner.
    pub gid: u32,
}

/// Access to the host's files.
pub trait Files {
    /// The file at `path`, following symbolic links.
    ///
    /// # Errors
    /// Those of stat(2).
    fn node(&self, path: &Path) -> io::Result<Node>;

    /// The names in a directory, sorted, without symbolic links.
    ///
    /// # Errors
    /// Those of readdir(3).
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// The path without symbolic links, `.` and `..`.
    ///
    /// # Errors
    /// Those of realpath(3).
    fn real_path(&self, path: &Path) -> io::Result<PathBuf>;

    /// The content of a file.
    ///
    /// # Errors
    /// Those of open(2) and read(2).
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
}

/// The files of the machine that this runs on.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Files for System {
    fn node(&self, path: &Path) -> io::Result<Node> {
        let found = std::fs::metadata(path)?;
        let (major, minor) = (major(found.rdev()) as u32, minor(found.rdev()) as u32);
        let kind = match rootling_sys::file::kind(found.mode()) {
            SFlag::S_IFCHR => NodeKind::Char(major, minor),
            SFlag::S_IFBLK => NodeKind::Block(major, minor),
            SFlag::S_IFDIR => NodeKind::Directory,
            _ => NodeKind::Other,
        };
        Ok(Node { kind, mode: found.mode() & 0o7777, uid: found.uid(), gid: found.gid() })
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = rootling_sys::directory::entries(directory)?.into_iter();
        let paths = entries.map(|entry| directory.join(entry.name));
        let mut paths: Vec<_> = paths.filter(|path| !path.is_symlink()).collect();
        paths.sort_unstable();
        Ok(paths)
    }

    fn real_path(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::canonicalize(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_machine_can_be_asked() {
        let null = System.node(Path::new("/dev/null")).expect("there is a /dev/null");
        assert_eq!((null.kind, null.mode & 0o666), (NodeKind::Char(1, 3), 0o666));
        assert_eq!(System.node(Path::new("/")).expect("a root").kind, NodeKind::Directory);
        assert!(System.list(Path::new("/dev")).expect("a list").contains(&PathBuf::from("/dev/null")));
        assert!(!System.read(Path::new("/proc/self/status")).expect("a file").is_empty());
        assert!(System.node(Path::new("/nonexistent")).is_err());
    }
}
