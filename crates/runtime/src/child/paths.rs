//! Masked and read-only paths: by descriptor, so that what was looked at is what is covered
//! (CVE-2025-31133).

use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, fstat};

use super::begin::relative;
use crate::error::{Context, Error, Result};
use crate::lower::attr;
use crate::sys;
use crate::sys::mount::{MountAttr, attach, clone_tree, new_filesystem, open_in_root, set_attr};

/// The root of the container.
pub(super) fn open_root() -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    open("/", flags, Mode::empty()).map(sys::fds::adopt).context(|| "open(\"/\")")
}

/// Makes the root file system read-only, with the flags that it has.
pub(super) fn readonly_root() -> Result<()> {
    close("/").map_err(|e| e.wrap("root.readonly"))
}

/// Makes the mount at a path read-only.
pub(super) fn close(path: &str) -> Result<()> {
    let what = || format!("mount_setattr({path:?}, MOUNT_ATTR_RDONLY)");
    let root = open_root()?;
    let target = open_in_root(root.as_fd(), &relative(Path::new(path)), libc::O_PATH).context(what)?;
    let attr = MountAttr { set: attr::RDONLY, ..MountAttr::default() };
    set_attr(target.as_fd(), false, &attr).context(what)
}

/// The wanted propagation of the root, when nothing is mounted any more.
pub(super) fn set_root_propagation(flags: u64, recursive: bool) -> Result<()> {
    let root = open_root()?;
    let attr = MountAttr { propagation: flags, ..MountAttr::default() };
    set_attr(root.as_fd(), recursive, &attr).context(|| "linux.rootfsPropagation: mount_setattr(\"/\")")
}

/// Opens a path that is to be covered; `None` when the image does not have it.
fn open_target(root: &OwnedFd, path: &str, field: &str) -> Result<Option<(OwnedFd, bool)>> {
    let what = || format!("{field}: {path:?}");
    let fd = match open_in_root(root.as_fd(), &relative(Path::new(path)), libc::O_PATH | libc::O_NOFOLLOW) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
        other => other.context(what)?,
    };
    let mode = fstat(fd.as_raw_fd()).context(what)?.st_mode & libc::S_IFMT;
    if mode == libc::S_IFLNK {
        return Err(Error::invalid(format!(
            "{}: is a symbolic link in this root file system, so that covering it would not cover what it leads to; \
             name the path that it leads to",
            what()
        )));
    }
    Ok(Some((fd, mode == libc::S_IFDIR)))
}

/// Covers each path with a read-only view of itself.
pub(super) fn make_readonly(paths: &[String]) -> Result<()> {
    if paths.is_empty() {
        return Ok(());
    }
    let root = open_root()?;
    let attr = MountAttr { set: attr::RDONLY, ..MountAttr::default() };
    for path in once(paths) {
        let Some((target, _)) = open_target(&root, path, "linux.readonlyPaths")? else { continue };
        clone_tree(target.as_fd(), true)
            .and_then(|copy| {
                set_attr(copy.as_fd(), false, &attr).and_then(|()| attach(copy.as_fd(), target.as_fd()))
            })
            .context(|| format!("linux.readonlyPaths: bind {path:?} read-only"))?;
    }
    Ok(())
}

/// Covers files with /dev/null and directories with an empty, read-only tmpfs.
pub(super) fn mask(paths: &[String]) -> Result<()> {
    if paths.is_empty() {
        return Ok(());
    }
    let root = open_root()?;
    let null = open_null(&root)?;
    // One empty file system serves all directories: making one costs more than binding it.
    let mut empty: Option<OwnedFd> = None;
    for path in once(paths) {
        let Some((target, is_dir)) = open_target(&root, path, "linux.maskedPaths")? else { continue };
        let what = || format!("linux.maskedPaths: cover {path:?}");
        let copy = if is_dir {
            let Some(first) = &empty else {
                let new = new_empty().context(what)?;
                attach(new.as_fd(), target.as_fd()).context(what)?;
                empty = Some(new);
                continue;
            };
            clone_tree(first.as_fd(), false).context(what)?
        } else {
            clone_tree(null.as_fd(), false).context(what)?
        };
        attach(copy.as_fd(), target.as_fd()).context(what)?;
    }
    Ok(())
}

/// Each path once, however it is written: a second cover would do nothing but be in the way.
fn once(paths: &[String]) -> impl Iterator<Item = &String> {
    let mut seen = BTreeSet::new();
    paths.iter().filter(move |path| seen.insert(crate::lower::clean(Path::new(path))))
}

/// An empty, read-only file system, detached.
pub(super) fn new_empty() -> Result<OwnedFd, Errno> {
    let options = ["nr_blocks=1", "nr_inodes=1"].map(str::to_owned);
    let flags = attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC;
    new_filesystem("tmpfs", "tmpfs", &options, flags)
}

/// The container's /dev/null, verified to be the null device and not something that the image put there.
fn open_null(root: &OwnedFd) -> Result<OwnedFd> {
    let what = || "linux.maskedPaths: the container's /dev/null".to_owned();
    let fd =
        open_in_root(root.as_fd(), Path::new("dev/null"), libc::O_PATH | libc::O_NOFOLLOW).context(what)?;
    let stat = fstat(fd.as_raw_fd()).context(what)?;
    if stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == libc::makedev(1, 3) {
        Ok(fd)
    } else {
        Err(Error::invalid(format!("{} is not the null device (1:3)", what())))
    }
}
