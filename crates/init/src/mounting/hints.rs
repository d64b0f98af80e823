//! What the usual errors of mounts mean, and what to do about them.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{SFlag, fstat};
use rootling_config::remedies::UNKNOWN_CONTEXT;
use rootling_sys::file::kind;
use rootling_sys::mount::{MountAttr, Refused};

use crate::error::Error;

/// The error for a source of a bind mount that cannot be opened.
pub(crate) fn bind_source(errno: Errno, source: &Path) -> Error {
    let error = Error::from(errno).wrap(format!("open({source:?})"));
    match errno {
        Errno::ENOENT => error.remedy("create the source, or remove the mount"),
        Errno::EACCES => {
            error.remedy("the caller, as root of the container, has to be let into each directory above it")
        }
        _ => error,
    }
}

/// The error for a mount that cannot be copied.
pub(crate) fn clone_tree(errno: Errno) -> Error {
    let error = Error::from(errno).wrap("open_tree(OPEN_TREE_CLONE)");
    match errno {
        Errno::EINVAL => error.remedy(
            "mounts below the source are locked to it for this caller: use rbind instead of bind; an unbindable mount \
             cannot be bound at all",
        ),
        _ => error,
    }
}

/// The error for a bind mount that cannot be attached.
pub(crate) fn attach(errno: Errno, source_is_dir: bool, target: &OwnedFd) -> Error {
    let target_is_dir = fstat(target.as_raw_fd()).is_ok_and(|stat| kind(stat.st_mode) == SFlag::S_IFDIR);
    let error = Error::from(errno).wrap("move_mount");
    match (source_is_dir, target_is_dir) {
        (false, true) => Error::from(Errno::ENOTDIR)
            .wrap("move_mount")
            .remedy("the source is a file and the destination is a directory: name a file"),
        (true, false) => Error::from(Errno::ENOTDIR)
            .wrap("move_mount")
            .remedy("the source is a directory and the destination is a file: name a directory"),
        _ => error,
    }
}

/// The error for flags of a mount that cannot be changed.
pub(crate) fn attributes(errno: Errno, attr: MountAttr) -> Error {
    let error =
        Error::from(errno).wrap(format!("mount_setattr(set {:#x}, clear {:#x})", attr.set, attr.clear));
    match errno {
        Errno::EPERM => {
            error.remedy("a flag of the source's mount is locked for this caller: keep its nosuid, nodev, noexec, ro and atime")
        }
        Errno::EINVAL => error.remedy("this kernel does not know one of the options"),
        _ => error,
    }
}

/// The error for a file system that cannot be mounted.
pub(crate) fn filesystem(refused: Refused, kind: &str) -> Error {
    let (errno, names_option) = (refused.errno, refused.option.is_some());
    let error = Error::from(refused);
    match (errno, kind) {
        (Errno::EPERM, "sysfs") => error.remedy(
            "an unprivileged sysfs mount needs its own network namespace, and a /sys that nothing is mounted over; add \
             one, or use a bind of /sys",
        ),
        (Errno::EPERM, "proc") => error.remedy(
            "an unprivileged proc mount needs its own pid namespace, and a /proc that nothing is mounted over; add one, \
             or use a bind of /proc",
        ),
        (Errno::EPERM, "mqueue") => error.remedy("an unprivileged mqueue mount needs its own ipc namespace; add one"),
        (Errno::EPERM, "cgroup2") => {
            error.remedy("an unprivileged cgroup2 mount needs its own cgroup namespace; add one")
        }
        (Errno::EPERM, _) => error.remedy("to mount it takes CAP_SYS_ADMIN outside of any user namespace"),
        (Errno::ENODEV, _) => error.remedy("this kernel has no such file system; see /proc/filesystems"),
        (Errno::EINVAL, _) if names_option => error.remedy(format!("correct the option, or remove it: {kind} refused it")),
        (Errno::EINVAL, _) => error.remedy("the file system refused one of the options"),
        _ => error,
    }
}

/// The error for a label that a file system does not get.
pub(crate) fn mount_label(error: Error, errno: Errno, label: &str) -> Error {
    let error = error.wrap(format!("linux.mountLabel: {label:?}"));
    if errno == Errno::EINVAL { error.remedy(UNKNOWN_CONTEXT) } else { error }
}

/// The error for something in the image that cannot be opened.
pub(crate) fn open(errno: Errno, path: &Path) -> Error {
    Error::from(errno).wrap(format!("open {path:?} in the root file system")).at(errno, path)
}

/// The error for something that cannot be made in the image.
pub(crate) fn make(errno: Errno, path: &Path, what: String) -> Error {
    let error = Error::from(errno).wrap(what).at(errno, path);
    match errno {
        Errno::EROFS => {
            error.remedy("the root file system is read-only: create the destination in the image")
        }
        Errno::EACCES => error
            .remedy("the caller may not write to the root file system: create the destination in the image"),
        Errno::EOVERFLOW => error.remedy(
            "its file system, or the id map of its mount, has no id for the container's root: create the destination in the \
             image",
        ),
        Errno::EEXIST => error.remedy("the image has a link there that leads nowhere; remove it"),
        _ => error,
    }
}
