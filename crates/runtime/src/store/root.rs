//! The directory that the state directories are in. What others could have put there is not used: its owner is
//! looked at through the descriptor by which everything below is reached.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstat};

use crate::error::{Context, Error, Result};
use rootling_sys as sys;

/// Where it is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// Where the caller has said (`--root`).
    Named(PathBuf),
    /// A directory of this name in one that has to be the caller's: its runtime directory.
    Below(PathBuf, &'static str),
    /// A directory that nobody but the caller could have made, or that is refused.
    Own(PathBuf),
}

impl Place {
    /// The path, for messages and for what needs one.
    pub(super) fn path(&self) -> PathBuf {
        match self {
            Self::Named(path) | Self::Own(path) => path.clone(),
            Self::Below(base, name) => base.join(name),
        }
    }

    pub(super) fn is_named(&self) -> bool {
        matches!(self, Self::Named(_))
    }

    /// Opens it. None if it does not exist.
    pub(super) fn open(&self) -> Result<Option<OwnedFd>> {
        let found = match self {
            // The path is the caller's, so a link in it is, too.
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
        // What others put into a directory with the sticky bit cannot be exchanged for what is the caller's.
        if self.is_named() && stat.st_uid == 0 && stat.st_mode & Mode::S_ISVTX.bits() != 0 {
            return Ok(());
        }
        belongs_to_caller(root, &path)?;
        let others = if self.is_named() { 0o002 } else { 0o022 };
        only_caller_writes(&stat, others, &path)
    }

    /// Makes it, with what is missing above. Somebody else may have been faster: it is opened and looked at afterwards.
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

/// Of a directory that others can write, only its sticky bit keeps what is in it in its place.
fn check_above(above: &OwnedFd, path: &Path) -> Result<()> {
    belongs_to_caller(above, path)?;
    let stat = fstat(above.as_raw_fd()).context(|| format!("stat({path:?})"))?;
    let others = if stat.st_mode & Mode::S_ISVTX.bits() == 0 { 0o022 } else { 0 };
    only_caller_writes(&stat, others, path)
}

/// What to do about a runtime directory of somebody else.
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

/// Fails unless the open directory is the caller's, or root's, whose word counts on the whole host.
pub(super) fn belongs_to_caller(dir: &OwnedFd, path: &Path) -> Result<()> {
    let owner = fstat(dir.as_raw_fd()).context(|| format!("stat({path:?})"))?.st_uid;
    let me = nix::unistd::geteuid().as_raw();
    if owner == me || owner == 0 {
        return Ok(());
    }
    Err(Error::invalid(format!("{path:?} belongs to uid {owner} and not to the caller, uid {me}")))
}

/// Fails if any of these bits says that somebody else may write.
pub(super) fn only_caller_writes(stat: &FileStat, bits: u32, path: &Path) -> Result<()> {
    if stat.st_mode & bits == 0 {
        return Ok(());
    }
    let mode = stat.st_mode & 0o7777;
    Err(Error::invalid(format!("{path:?} has mode {mode:04o}: others can write it; chmod go-w {path:?}")))
}
