//! The container's root, while and after it is made.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag};
use rootling_sys::mount::{open_in_root, openat2};
use rootling_sys::path::{Identity, identity, relative};

use crate::error::{Context, Result};

/// The container's root: the image's tree, attached.
pub(crate) struct Image {
    directory: OwnedFd,
    identity: Identity,
    /// The mounts on /proc and /sys, whatever their names lead to later.
    proc: Option<OwnedFd>,
    sys: Option<OwnedFd>,
    /// What was mounted, and the id of each mount.
    mounted: Vec<(PathBuf, u64)>,
}

impl Image {
    /// An attached tree.
    pub(crate) fn new(directory: OwnedFd) -> Result<Self> {
        let identity = identity(directory.as_fd()).context(|| "statx of the root file system")?;
        Ok(Self { directory, identity, proc: None, sys: None, mounted: Vec::new() })
    }

    /// Its root directory.
    pub(crate) fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    /// What its root directory is.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// Opens a path of the container below the mount that it is about: /proc and /sys are those that were mounted, and
    /// not what their names lead to by now. `flags` without `O_NOFOLLOW`: a last link is followed inside.
    pub(crate) fn open(&self, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
        for (mount, name) in [(&self.proc, "/proc"), (&self.sys, "/sys")] {
            if let (Some(mount), Ok(below)) = (mount, path.strip_prefix(name)) {
                return open_in_root(mount.as_fd(), &relative(below), flags);
            }
        }
        open_in_root(self.directory.as_fd(), &relative(path), flags)
    }

    /// Whether what was found at a path of `config.json` lies on the mount that this path means: the one that was made
    /// there, else the one that it lies on where no link is followed. Otherwise a link of the image has led to another
    /// mount of the container, whose flags are not to be changed by way of that.
    pub(super) fn is_meant(&self, path: &Path, found: &OwnedFd) -> Result<bool> {
        let at = identity(found.as_fd()).context(|| "statx of a path in the root file system")?.mount();
        if let Some((_, mount)) = self.mounted.iter().rev().find(|(destination, _)| destination == path) {
            return Ok(*mount == at);
        }
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let plain = openat2(self.directory.as_fd(), &relative(path), OFlag::O_PATH, resolve);
        Ok(plain.is_ok_and(|plain| identity(plain.as_fd()).is_ok_and(|plain| plain.mount() == at)))
    }

    /// Whether the kernel's own file system of this place is mounted.
    pub(super) fn is_mounted(&self, name: &str) -> bool {
        if name == "/proc" { self.proc.is_some() } else { self.sys.is_some() }
    }

    /// Remembers a mount, those of the kernel's own file systems by descriptor.
    pub(super) fn note(&mut self, destination: &Path, mount: OwnedFd) {
        if let Ok(identity) = identity(mount.as_fd()) {
            self.mounted.push((destination.to_owned(), identity.mount()));
        }
        match destination.to_str() {
            Some("/proc") => self.proc = Some(mount),
            Some("/sys") => self.sys = Some(mount),
            _ => {}
        }
    }
}
