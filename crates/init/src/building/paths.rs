//! Masked and read-only paths. They are covered by descriptor, so that what was checked is what is covered
//! (CVE-2025-31133).

use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{SFlag, fstat};
use rootling_config::mounts::Propagation;
use rootling_sys::file::kind;
use rootling_sys::mount::{MountAttr, attach, attr, clone_tree, set_attr};
use rootling_sys::path::{clean, identity};

use crate::error::{Context, Error, Result};
use crate::mounting::devices::open_null;
use crate::mounting::filesystems::new_empty;
use crate::mounting::image::Image;

/// Makes the root file system read-only and keeps its other flags.
pub(super) fn readonly_root(root: &Image) -> Result<()> {
    close(root, Path::new("/")).map_err(|e| e.wrap("root.readonly"))
}

/// Makes the mount at a path read-only.
pub(super) fn close(root: &Image, path: &Path) -> Result<()> {
    let what = || format!("mount_setattr({path:?}, MOUNT_ATTR_RDONLY)");
    let target = root.open(path, OFlag::O_PATH).context(what)?;
    close_mount(&target).context(what)
}

fn close_mount(at: &OwnedFd) -> Result<(), Errno> {
    set_attr(at.as_fd(), false, &MountAttr { set: attr::RDONLY, ..MountAttr::default() })
}

/// Sets the requested propagation of the root after the last mount was made.
pub(super) fn set_root_propagation(root: &Image, wanted: Propagation) -> Result<()> {
    let attr = MountAttr { propagation: wanted.flag, ..MountAttr::default() };
    set_attr(root.directory().as_fd(), wanted.recursive, &attr)
        .context(|| "linux.rootfsPropagation: mount_setattr(\"/\")")
}

/// Opens what is at a path that is to be covered; `None` if the image does not have it. A link is followed inside the
/// root, as in runc and crun, and its target is covered. Paths below /proc and /sys are looked up in the very mounts
/// that were made there.
fn open_target(root: &Image, path: &Path, field: &str) -> Result<Option<(OwnedFd, bool)>> {
    let what = || format!("{field}: {path:?}");
    let fd = match root.open(path, OFlag::O_PATH) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
        other => other.context(what)?,
    };
    let mode = fstat(fd.as_raw_fd()).context(what)?.st_mode;
    Ok(Some((fd, kind(mode) == SFlag::S_IFDIR)))
}

fn is_root(root: &Image, target: &OwnedFd) -> Result<bool> {
    Ok(identity(target.as_fd()).context(|| "statx of a path in the root file system")? == root.identity())
}

/// Covers each path with a read-only bind mount of itself.
pub(super) fn make_readonly(root: &Image, paths: &[String]) -> Result<()> {
    let attr = MountAttr { set: attr::RDONLY, ..MountAttr::default() };
    for path in once(paths) {
        let Some((target, _)) = open_target(root, &path, "linux.readonlyPaths")? else { continue };
        if is_root(root, &target)? {
            // The path is the root, spelled differently or through a link. A cover would hide nothing anybody sees, so
            // the mount itself is made read-only.
            close_mount(&target).context(|| format!("linux.readonlyPaths: make {path:?} read-only"))?;
            continue;
        }
        clone_tree(target.as_fd(), true)
            .and_then(|copy| {
                set_attr(copy.as_fd(), false, &attr).and_then(|()| attach(copy.as_fd(), target.as_fd()))
            })
            .context(|| format!("linux.readonlyPaths: bind {path:?} read-only"))?;
    }
    Ok(())
}

/// Covers files with /dev/null, and directories with an empty, read-only tmpfs that has the label.
pub(super) fn mask(root: &Image, paths: &[String], label: Option<&str>) -> Result<()> {
    if paths.is_empty() {
        return Ok(());
    }
    let null = open_null(root)?;
    // One empty file system serves all directories: making one costs more than bind-mounting it.
    let mut empty: Option<OwnedFd> = None;
    for path in once(paths) {
        let Some((target, is_dir)) = open_target(root, &path, "linux.maskedPaths")? else { continue };
        if is_root(root, &target)? {
            return Err(Error::invalid(format!(
                "linux.maskedPaths: {path:?} is the container's root, which cannot be covered: name the paths in it that are to be hidden"
            )));
        }
        let what = || format!("linux.maskedPaths: cover {path:?}");
        let copy = if is_dir {
            let Some(first) = &empty else {
                let new = new_empty(label).map_err(|e| e.wrap(what()))?;
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

/// Returns each path once, however it is spelled: a second cover would only get in the way.
fn once(paths: &[String]) -> impl Iterator<Item = PathBuf> {
    let mut seen = BTreeSet::new();
    paths.iter().map(|path| clean(Path::new(path))).filter(move |path| seen.insert(path.clone()))
}
