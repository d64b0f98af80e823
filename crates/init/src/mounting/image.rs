//! The container's root, while it is being made and afterwards.

use std::iter;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag};
use rootling_sys::mount::{MS_PRIVATE, MountAttr, attach, clone_tree, open_in_root, openat2, set_attr};
use rootling_sys::path::{Identity, identity, relative};

use crate::error::{Context, Error, Result};

/// The container's root: the image's tree, attached.
pub(crate) struct Image {
    directory: OwnedFd,
    identity: Identity,
    /// The mounts on /proc and /sys, wherever their names may lead later.
    proc: Option<OwnedFd>,
    sys: Option<OwnedFd>,
    /// What was mounted: the mount point and the identity of the root of each mount.
    mounted: Vec<(PathBuf, Identity)>,
    /// Whether the mounts have been copied since: their ids differ then, while the files are the same.
    is_copy: bool,
}

impl Image {
    /// An attached tree.
    pub(crate) fn new(directory: OwnedFd) -> Result<Self> {
        let identity = identity(directory.as_fd()).context(|| "statx of the root file system")?;
        Ok(Self { directory, identity, proc: None, sys: None, mounted: Vec::new(), is_copy: false })
    }

    /// Attaches a copy of the tree on top of it, unless its mounts were made in their order. Since Linux 6.8, mountinfo
    /// lists mounts in the order in which they were made. These were made before they were attached, and some of them,
    /// such as a tmpfs with the mode of what it covers, after all others. In the copy, each mount follows the one it is
    /// on, and otherwise they are in the order of the configuration, as expected by programs that take the last line for
    /// a path or unmount in reverse order.
    pub(crate) fn in_order(self) -> Result<Self> {
        if self.is_in_order() {
            self.kernels_own_in(&self.directory)?;
            return Ok(self);
        }
        let copy = self.attach_copy().context(|| "copy the root file system with its mounts")?;
        let (proc, sys) = self.kernels_own_in(&copy)?;
        let identity = identity(copy.as_fd()).context(|| "look at the root file system")?;
        Ok(Self { directory: copy, identity, proc, sys, mounted: self.mounted, is_copy: true })
    }

    /// Finds /proc and /sys by name in the tree or its copy. Another process may exchange these names meanwhile.
    fn kernels_own_in(&self, tree: &OwnedFd) -> Result<(Option<OwnedFd>, Option<OwnedFd>)> {
        let again = |mount: &Option<OwnedFd>, name: &str| {
            let Some(mount) = mount else { return Ok(None) };
            let found = same_in(tree, mount, name)
                .context(|| format!("find /{name} again in the root file system"))?;
            found.map(Some).ok_or_else(|| {
                Error::invalid(format!(
                    "/{name} is no longer where it was mounted: something is changing the root file system"
                ))
            })
        };
        Ok((again(&self.proc, "proc")?, again(&self.sys, "sys")?))
    }

    /// Before Linux 6.8, the kernel does not tell, and the order is that in which mounts were attached first: for those in /dev, that
    /// was for libcontainer, before all others.
    fn is_in_order(&self) -> bool {
        let all = iter::once(&self.identity).chain(self.mounted.iter().map(|(_, identity)| identity));
        all.clone().zip(all.skip(1)).all(|(before, after)| after.is_made_after(before) == Some(true))
    }

    fn attach_copy(&self) -> Result<OwnedFd, Errno> {
        let copy = clone_tree(self.directory.as_fd(), true)?;
        // The original is removed together with the private root. Peers on the host and in the copy must not be
        // unmounted with it.
        let private = MountAttr { propagation: MS_PRIVATE, ..MountAttr::default() };
        set_attr(self.directory.as_fd(), true, &private)?;
        attach(copy.as_fd(), self.directory.as_fd())?;
        Ok(copy)
    }

    pub(crate) fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    /// The identity of its root directory.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// Opens a path of the container below the mount that it belongs to: /proc and /sys are those that were mounted,
    /// not what their names lead to by now. If `flags` lacks `O_NOFOLLOW`, a link in the last component is followed
    /// inside the root.
    pub(crate) fn open(&self, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
        for (mount, name) in [(&self.proc, "/proc"), (&self.sys, "/sys")] {
            if let (Some(mount), Ok(below)) = (mount, path.strip_prefix(name)) {
                return open_in_root(mount.as_fd(), &relative(below), flags);
            }
        }
        open_in_root(self.directory.as_fd(), &relative(path), flags)
    }

    /// Whether what was found at a path of `config.json` is on the mount that this path means: the one that was made
    /// there, or else the one that is reached without following links. Otherwise a link in the image has led to another
    /// mount of the container, whose flags must not be changed that way.
    pub(super) fn is_meant(&self, path: &Path, found: &OwnedFd) -> Result<bool> {
        let at = identity(found.as_fd()).context(|| "statx of a path in the root file system")?;
        if let Some((_, mount)) = self.mounted.iter().rev().find(|(destination, _)| destination == path) {
            return Ok(if self.is_copy { mount.is_file(&at) } else { mount.is_on_mount_of(&at) });
        }
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let plain = openat2(self.directory.as_fd(), &relative(path), OFlag::O_PATH, resolve);
        Ok(plain.is_ok_and(|plain| identity(plain.as_fd()).is_ok_and(|plain| plain.is_on_mount_of(&at))))
    }

    /// Whether the kernel's own file system for this path is mounted.
    pub(super) fn is_mounted(&self, name: &str) -> bool {
        if name == "/proc" { self.proc.is_some() } else { self.sys.is_some() }
    }

    /// Remembers a mount; those of the kernel's own file systems are kept by descriptor.
    pub(super) fn note(&mut self, destination: &Path, mount: OwnedFd, identity: Identity) {
        self.mounted.push((destination.to_owned(), identity));
        match destination.to_str() {
            Some("/proc") => self.proc = Some(mount),
            Some("/sys") => self.sys = Some(mount),
            _ => {}
        }
    }
}

/// The root of `mount`, found by its name in the tree or a copy of it; `None` if something else is there.
fn same_in(tree: &OwnedFd, mount: &OwnedFd, name: &str) -> Result<Option<OwnedFd>, Errno> {
    let found = open_in_root(tree.as_fd(), Path::new(name), OFlag::O_PATH | OFlag::O_DIRECTORY)?;
    let is_same = identity(mount.as_fd())?.is_file(&identity(found.as_fd())?);
    Ok(is_same.then_some(found))
}
