//! Destinations of mounts and devices inside the root file system, made where they are missing.
//!
//! The image decides what lies on the way, so every step is taken by openat2(2) from the root of the
//! container, and no link leads out of it. A link that leads to something that is not there is
//! followed all the same, and what it leads to is made: images have links such as
//! `/etc/mtab -> /proc/mounts` or `/var/run -> /run` before there is anything at the other end.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, mkdirat};

use super::begin::relative;
use super::hints;
use crate::error::{Context, Error, Result};
use crate::sys;
use crate::sys::mount::open_in_root;

/// As many links as the kernel follows in one path; path_resolution(7).
const MAX_LINKS: usize = 40;

/// What is made where nothing is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Directory,
    File,
}

/// Opens a directory of the root file system for reference, making what is missing of it.
pub(super) fn directory(root: &OwnedFd, path: &Path) -> Result<OwnedFd> {
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    match open_in_root(root.as_fd(), &relative(path), flags) {
        Err(Errno::ENOENT) => make(root, path, Missing::Directory),
        other => other.context(|| format!("open {path:?} in the root file system")),
    }
}

/// Opens what a file is bound on, making an empty file where nothing is.
pub(super) fn file(root: &OwnedFd, path: &Path) -> Result<OwnedFd> {
    match open_in_root(root.as_fd(), &relative(path), libc::O_PATH) {
        Err(Errno::ENOENT) => make(root, path, Missing::File),
        other => other.context(|| format!("open {path:?} in the root file system")),
    }
}

/// Walks from component to component and makes what is not there.
fn make(root: &OwnedFd, path: &Path, missing: Missing) -> Result<OwnedFd> {
    let what = |at: &Path| format!("make /{} in the root file system", at.display());
    let mut left: VecDeque<OsString> = components(path).collect();
    let mut so_far = PathBuf::from(".");
    let mut links = 0;
    while let Some(name) = left.pop_front() {
        if name == OsStr::new("..") {
            so_far.pop();
            if so_far.as_os_str().is_empty() {
                so_far.push(".");
            }
            continue;
        }
        let dir = open_in_root(root.as_fd(), &so_far, libc::O_PATH | libc::O_DIRECTORY)
            .context(|| what(&so_far))?;
        if let Some(target) = link(&dir, &name) {
            links += 1;
            if links > MAX_LINKS {
                return Err(Error::from(Errno::ELOOP).wrap(what(path)));
            }
            if target.is_absolute() {
                so_far = PathBuf::from(".");
            }
            for component in components(&target).collect::<Vec<_>>().into_iter().rev() {
                left.push_front(component);
            }
            continue;
        }
        so_far.push(&name);
        let last = left.is_empty();
        make_one(&dir, &name, if last { missing } else { Missing::Directory })
            .map_err(|errno| hints::make(errno, what(&so_far)))?;
    }
    open_in_root(root.as_fd(), &so_far, libc::O_PATH | libc::O_NOFOLLOW).context(|| what(&so_far))
}

fn components(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// Where a link leads; `None` for whatever is no link.
fn link(dir: &OwnedFd, name: &OsStr) -> Option<PathBuf> {
    readlinkat(Some(dir.as_raw_fd()), name).ok().map(PathBuf::from)
}

fn make_one(dir: &OwnedFd, name: &OsStr, missing: Missing) -> Result<(), Errno> {
    let at = Some(dir.as_raw_fd());
    let mode = Mode::from_bits_truncate(0o755);
    let result = match missing {
        Missing::Directory => mkdirat(at, name, mode),
        Missing::File => {
            let flags =
                OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_WRONLY;
            openat(at, name, flags, mode).map(|fd| drop(sys::fds::adopt(fd)))
        }
    };
    match result {
        // There already: it is looked at when it is opened.
        Err(Errno::EEXIST) => Ok(()),
        // mkdir on a read-only file system says so even of a directory that is there.
        Err(Errno::EROFS) if open_in_root(dir.as_fd(), Path::new(name), libc::O_PATH).is_ok() => Ok(()),
        other => other,
    }
}
