//! Destinations of mounts and devices inside the root file system, made if they are missing.
//!
//! The image determines what is on the way, so every step is taken by openat2(2) from the root of the container, and no
//! link leads out of it. A dangling link is followed all the same, and its target is made: images have links such as
//! `/etc/mtab -> /proc/mounts` or `/var/run -> /run` before anything exists at the other end.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag, openat, readlinkat};
use nix::sys::stat::{Mode, SFlag, fstat, mkdirat};

use rootling_sys as sys;
use rootling_sys::mount::{open_in_root, openat2};
use rootling_sys::path::{identity, relative};

use super::hints;
use super::image::Image;
use crate::error::{Context, Error, Result};

/// As many links as the kernel follows in one path; path_resolution(7).
const MAX_LINKS: usize = 40;

/// More levels than any path can have (PATH_MAX, limits.h).
const MOST_LEVELS: usize = 4096;

/// What is made if nothing exists.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Directory,
    File,
}

/// Opens a directory of the root file system with O_PATH, making what is missing of it.
pub(super) fn directory(root: &Image, path: &Path) -> Result<OwnedFd> {
    let root = root.directory();
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
    match open_in_root(root.as_fd(), &relative(path), flags) {
        Err(Errno::ENOENT) => make(root, path, Missing::Directory),
        other => other.map_err(|errno| hints::open(errno, path)),
    }
}

/// Opens the file to bind-mount on, making an empty file if nothing exists.
pub(super) fn file(root: &Image, path: &Path) -> Result<OwnedFd> {
    let root = root.directory();
    match open_in_root(root.as_fd(), &relative(path), OFlag::O_PATH) {
        Err(Errno::ENOENT) => make(root, path, Missing::File),
        other => other.map_err(|errno| hints::open(errno, path)),
    }
}

/// Opens a directory that is not a link: programs that expect a procfs at /proc must find it there. This is a single
/// step, so that what was checked not to be a link is what is mounted on.
pub(super) fn ordinary_directory(root: &Image, path: &Path, kind: &str) -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    let link = |errno: Errno| match errno {
        Errno::ENOTDIR | Errno::ELOOP => Error::invalid(format!(
            "filesystem {kind:?} must be mounted on ordinary directory; the image has a link or a file at {path:?}"
        )),
        errno => hints::open(errno, path),
    };
    match open_in_root(root.directory().as_fd(), &relative(path), flags) {
        Err(Errno::ENOENT) => {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                return Err(Error::from(Errno::ENOENT).wrap("open the root file system"));
            };
            let parent = directory(root, parent)?;
            make_one(&parent, name, Missing::Directory).map_err(|errno| {
                hints::make(errno, path, format!("make {path:?} in the root file system"))
            })?;
            let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
            openat2(parent.as_fd(), Path::new(name), flags, resolve).map_err(link)
        }
        other => other.map_err(link),
    }
}

/// Opens the last component itself even if it is a link, and makes what is missing: `dest-nofollow`. The link itself is
/// mounted on; the kernel mounts a directory only on a directory.
pub(super) fn itself(root: &Image, path: &Path, is_dir: bool) -> Result<OwnedFd> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return directory(root, path);
    };
    let parent = directory(root, parent)?;
    let missing = if is_dir { Missing::Directory } else { Missing::File };
    make_one(&parent, name, missing)
        .map_err(|errno| hints::make(errno, path, format!("make {path:?} in the root file system")))?;
    let what = || format!("open {path:?} in the root file system");
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
    let found =
        openat2(parent.as_fd(), Path::new(name), flags, ResolveFlag::RESOLVE_BENEATH).context(what)?;
    let mode = fstat(found.as_raw_fd()).context(what)?.st_mode;
    if is_dir && sys::file::kind(mode) == SFlag::S_IFLNK {
        return Err(Error::invalid(format!(
            "the image has a link at {path:?}, on which no directory can be mounted: remove the link, or the option \
             dest-nofollow"
        )));
    }
    Ok(found)
}

/// Whether what was found is in this directory of the root file system, such as `/proc` before a procfs is mounted
/// there. `path` is where it was looked for.
pub(super) fn lies_in(root: &Image, path: &Path, found: &OwnedFd, is_dir: bool, name: &str) -> Result<bool> {
    let what = || format!("look for {path:?} below {name:?}");
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
    let Ok(place) = open_in_root(root.directory().as_fd(), &relative(Path::new(name)), flags) else {
        return Ok(false);
    };
    let place = identity(place.as_fd()).context(what)?;
    let mut at = if is_dir {
        sys::fds::duplicate(found.as_fd()).context(what)?
    } else {
        // A file has no parent entry; its directory has.
        directory(root, path.parent().unwrap_or(path))?
    };
    for _ in 0..MOST_LEVELS {
        let here = identity(at.as_fd()).context(what)?;
        if here == place {
            return Ok(true);
        }
        if here == root.identity() {
            return Ok(false);
        }
        at = openat2(at.as_fd(), Path::new(".."), OFlag::O_PATH | OFlag::O_DIRECTORY, ResolveFlag::empty())
            .map_err(|errno| Error::from(errno).wrap(what()).at(errno, path))?;
    }
    Err(Error::invalid(format!("{path:?} leads too deep")))
}

/// Makes the working directory if the image lacks it, as runc does. What cannot be looked up is reported when it is
/// entered.
pub(crate) fn working_directory(root: &Image, path: &Path) -> Result<()> {
    let what = |e: Error| e.wrap(format!("process.cwd: mkdir({path:?})")).remedy("create it in the image");
    match open_in_root(root.directory().as_fd(), &relative(path), OFlag::O_PATH) {
        Err(Errno::ENOENT) => make(root.directory(), path, Missing::Directory).map(drop).map_err(what),
        _ => Ok(()),
    }
}

/// Walks from component to component and makes what is missing.
fn make(root: &OwnedFd, path: &Path, missing: Missing) -> Result<OwnedFd> {
    let what = |at: &Path| {
        let path = Path::new("/").join(at.strip_prefix(".").unwrap_or(at));
        format!("make {} in the root file system", path.display())
    };
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
        let dir = open_in_root(root.as_fd(), &so_far, OFlag::O_PATH | OFlag::O_DIRECTORY)
            .map_err(|errno| Error::from(errno).wrap(what(&so_far)).at(errno, &so_far))?;
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
            .map_err(|errno| hints::make(errno, &so_far, what(&so_far)))?;
    }
    open_in_root(root.as_fd(), &so_far, OFlag::O_PATH | OFlag::O_NOFOLLOW).context(|| what(&so_far))
}

fn components(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// The target of a link; `None` for anything that is not a link.
fn link(dir: &OwnedFd, name: &OsStr) -> Option<PathBuf> {
    readlinkat(Some(dir.as_raw_fd()), name).ok().map(PathBuf::from)
}

fn make_one(dir: &OwnedFd, name: &OsStr, missing: Missing) -> Result<(), Errno> {
    let at = Some(dir.as_raw_fd());
    let result = match missing {
        Missing::Directory => mkdirat(at, name, Mode::from_bits_truncate(0o755)),
        Missing::File => {
            let flags =
                OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_WRONLY;
            openat(at, name, flags, Mode::from_bits_truncate(0o644)).map(|fd| drop(sys::fds::adopt(fd)))
        }
    };
    match result {
        // It exists already: it is checked when it is opened.
        Err(Errno::EEXIST) => Ok(()),
        // On a read-only file system mkdir reports this even if the directory exists.
        Err(Errno::EROFS) if open_in_root(dir.as_fd(), Path::new(name), OFlag::O_PATH).is_ok() => Ok(()),
        other => other,
    }
}
