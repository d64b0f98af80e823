//! The container's root, while and after it is made.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use rootling_sys::mount::open_in_root;
use rootling_sys::path::{Identity, identity, relative};

use crate::error::{Context, Result};

/// The container's root: the image's tree, attached.
pub(crate) struct Image {
    directory: OwnedFd,
    identity: Identity,
    /// The mounts on /proc and /sys, whatever their names lead to later.
    proc: Option<OwnedFd>,
    sys: Option<OwnedFd>,
}

impl Image {
    /// An attached tree.
    pub(crate) fn new(directory: OwnedFd) -> Result<Self> {
        let identity = identity(directory.as_fd()).context(|| "statx of the root file system")?;
        Ok(Self { directory, identity, proc: None, sys: None })
    }

    /// Its root directory.
    pub(crate) fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    /// What its root directory is.
    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// Opens a path of the container below the mount that it is about: /proc and /sys are those that were mounted, and
    /// not what their names lead to by now. `flags` without `O_NOFOLLOW`: a last link is followed inside.
    pub(crate) fn open(&self, path: &Path, flags: i32) -> Result<OwnedFd, Errno> {
        for (mount, name) in [(&self.proc, "/proc"), (&self.sys, "/sys")] {
            if let (Some(mount), Ok(below)) = (mount, path.strip_prefix(name)) {
                return open_in_root(mount.as_fd(), &relative(below), flags);
            }
        }
        open_in_root(self.directory.as_fd(), &relative(path), flags)
    }

    /// Whether the kernel's own file system of this place is mounted.
    pub(super) fn is_mounted(&self, name: &str) -> bool {
        if name == "/proc" { self.proc.is_some() } else { self.sys.is_some() }
    }

    /// Remembers the mounts of the kernel's own file systems.
    pub(super) fn note(&mut self, destination: &Path, mount: OwnedFd) {
        match destination.to_str() {
            Some("/proc") => self.proc = Some(mount),
            Some("/sys") => self.sys = Some(mount),
            _ => {}
        }
    }
}
