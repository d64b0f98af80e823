//! Changes of the root directory, and what the rooms know about the private root.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chroot, fchdir, pivot_root};

use crate::error::{Context, Result};

/// What libcontainer takes for the root file system.
pub(crate) const ROOT: &str = "/c";
/// The directory in it to which the image's tree is attached.
pub(crate) const IMAGE: &str = "image";
/// How the container's root is entered in the end.
pub(crate) enum Place {
    /// By pivot_root(2), in the place of the private root, which is removed together with its mounts.
    Mounted {
        /// The private root.
        root: OwnedFd,
    },
    /// By chroot(2), in the caller's own mount namespace: the tree is attached where the root file system is.
    Shared {
        /// The private root.
        root: OwnedFd,
        /// The directory of the root file system.
        rootfs: OwnedFd,
    },
}

/// Makes an attached mount the root, and detaches the former root. `shared` means that the old root's mounts have peers
/// on the host, which must not be detached with them.
pub(crate) fn swap_roots(new: &OwnedFd, shared: bool) -> Result<(), Errno> {
    fchdir(new.as_raw_fd())?;
    // Both names are the same: the old root is stacked on the new one, where the next call finds it as `.`
    // (pivot_root(2), "pivot_root(".", ".")").
    pivot_root(".", ".")?;
    if shared {
        mount(None::<&str>, ".", None::<&str>, MsFlags::MS_SLAVE | MsFlags::MS_REC, None::<&str>)?;
    }
    umount2(".", MntFlags::MNT_DETACH)?;
    nix::unistd::chdir("/")
}

/// Makes an attached mount the root of this process alone.
pub(crate) fn change_root(new: &OwnedFd) -> Result<()> {
    fchdir(new.as_raw_fd()).and_then(|()| chroot(".")).context(|| "chroot")
}

/// Detaches a mount that has no path.
pub(crate) fn detach(mount: &OwnedFd) -> Result<(), Errno> {
    fchdir(mount.as_raw_fd())?;
    umount2(".", MntFlags::MNT_DETACH)
}
