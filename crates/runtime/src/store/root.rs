//! The directory that contains the state directories. Nothing that others could have put there is used: its owner is
//! checked through the same descriptor by which everything below is reached.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstat};

use crate::error::{Context, Error, Result};
use rootling_sys as sys;

/// Where the directory is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// Where the caller said (`--root`).
    Named(PathBuf),
    /// A directory with this name in the caller's runtime directory, which must belong to the caller.
    Below(PathBuf, &'static str),
    /// A directory that nobody but the caller could have made; otherwise it is refused.
    Own(PathBuf),
}

impl Place {
    /// The path, for messages and for operations that need one.
    pub(super) fn path(&self) -> PathBuf {
        match self {
            Self::Named(path) | Self::Own(path) => path.clone(),
            Self::Below(base, name) => base.join(name),
        }
    }

    pub(super) fn is_named(&self) -> bool {
        matches!(self, Self::Named(_))
    }

    /// Opens the directory; `None` if it does not exist.
    pub(super) fn open(&self) -> Result<Option<OwnedFd>> {
        let found = match self {
            // The caller named the path, so links in it are trusted, too.
            Self::Named(path) => open(None, path, OFlag::empty())?,
            Self::Own(path) => open(None, path, OFlag::O_NOFOLLOW)?,
            Self::Below(base, name) => {
                let above = open(None, base, OFlag::empty()).and_then(|above| {
                    above.as_ref().map_or(Ok(()), |above| check_above(above, base))?;
                    Ok(above)
                });
                let Some(above) = above.map_err(|e| e.remedy(LEFT_BEHIND))? else { return Ok(None) };
                open(Some(&above), Path::new(name), OFlag::O_NOFOLLOW).map_err(|e| e.wrap(base.display()))?
            }
        };
        let Some(root) = found else { return Ok(None) };
        self.check(&root).map_err(|e| {
            e.wrap("state directory").remedy("name another one with --root").see_doctor(!self.is_named())
        })?;
        Ok(Some(root))
    }

    fn check(&self, root: &OwnedFd) -> Result<()> {
        let path = self.path();
        let stat = fstat(root.as_raw_fd()).context(|| format!("stat({path:?})"))?;
        // In a directory of root with the sticky bit, others cannot replace what belongs to the caller.
        if self.is_named() && stat.st_uid == 0 && stat.st_mode & Mode::S_ISVTX.bits() != 0 {
            return Ok(());
        }
        belongs_to_caller(&stat, &path)?;
        let others = if self.is_named() { 0o002 } else { 0o022 };
        only_caller_writes(&stat, others, &path)
    }

    /// Makes the directory and its missing ancestors. Somebody else may be faster: it is opened and checked afterwards.
    pub(super) fn make(&self) -> Result<()> {
        let path = self.path();
        fs::DirBuilder::new()
            .recursive(true)
            .mode(super::MODE.bits())
            .create(&path)
            .context(|| format!("state directory {path:?}"))
            .map_err(|e| e.remedy("name another one with --root, or set XDG_RUNTIME_DIR").see_doctor(true))
    }
}

/// If others can write to a directory, only its sticky bit protects the entries in it.
fn check_above(above: &OwnedFd, path: &Path) -> Result<()> {
    let stat = fstat(above.as_raw_fd()).context(|| format!("stat({path:?})"))?;
    belongs_to_caller(&stat, path)?;
    let others = if stat.st_mode & Mode::S_ISVTX.bits() == 0 { 0o022 } else { 0 };
    only_caller_writes(&stat, others, path)
}

/// The remedy for a runtime directory that belongs to somebody else.
const LEFT_BEHIND: &str = "unset XDG_RUNTIME_DIR, which su and sudo may leave from another user, or name a state \
                           directory with --root";

fn open(at: Option<&OwnedFd>, path: &Path, more: OFlag) -> Result<Option<OwnedFd>> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | more;
    match openat(at.map(AsRawFd::as_raw_fd), path, flags, Mode::empty()).map(sys::fds::adopt) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno @ (Errno::ENOTDIR | Errno::ELOOP)) if more.contains(OFlag::O_NOFOLLOW) => {
            Err(Error::from(errno)
                .wrap(format!("open({path:?})"))
                .remedy("a link in its place is not followed"))
        }
        Err(errno) => Err(errno).context(|| format!("open({path:?})")),
    }
}

/// Fails unless the directory belongs to the caller or to root, who is trusted on the whole host.
pub(super) fn belongs_to_caller(stat: &FileStat, path: &Path) -> Result<()> {
    let owner = stat.st_uid;
    let me = nix::unistd::geteuid().as_raw();
    if owner == me || owner == 0 {
        return Ok(());
    }
    Err(Error::invalid(format!("{path:?} belongs to uid {owner} and not to the caller, uid {me}")))
}

/// Fails if any of these mode bits allows somebody else to write.
pub(super) fn only_caller_writes(stat: &FileStat, bits: u32, path: &Path) -> Result<()> {
    if stat.st_mode & bits == 0 {
        return Ok(());
    }
    let mode = stat.st_mode & 0o7777;
    Err(Error::invalid(format!("{path:?} has mode {mode:04o}: others can write it; chmod go-w {path:?}")))
}
