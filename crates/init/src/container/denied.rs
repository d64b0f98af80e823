//! Explains why an existing program may not be executed: EACCES has four reasons, each with a different remedy;
//! execve(2).

use std::ffi::{CStr, OsStr};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode, stat};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, faccessat, getegid, geteuid};
use rootling_config::remedies::{OTHER_PLACE, let_pass};
use rootling_sys as sys;

/// The uid that the kernel shows for an owner without an id in the user namespace: /proc/sys/kernel/overflowuid.
const NOBODY: u32 = 65534;

/// The reason, as far as this process can determine it.
pub(super) fn reason(program: &CStr) -> String {
    let path = Path::new(OsStr::from_bytes(program.to_bytes()));
    let user = format!("process.user {}:{}", geteuid(), getegid());
    if let Some((directory, found)) = closed_directory(path) {
        let owner = found.as_ref().map(owner).unwrap_or_default();
        let is_own = !found.as_ref().is_some_and(is_unmapped);
        let how = let_pass(is_own, if is_own { "or use another user" } else { OTHER_PLACE });
        return format!("{directory:?}{owner} does not let {user} pass: {how}");
    }
    let Ok(found) = stat(path) else { return format!("it has to be executable by {user}") };
    let mode = found.st_mode & 0o7777;
    if mode & 0o111 == 0 {
        return format!("it has no execute bit (mode {mode:04o}): set it with `chmod +x`");
    }
    if statvfs(path).is_ok_and(|of| of.flags().contains(FsFlags::ST_NOEXEC)) {
        let place = mount_point(path)
            .map_or_else(|| "it lies on a mount".into(), |at| format!("the mount on {at:?}"));
        return format!("{place} has the option noexec: remove that, or use a program from elsewhere");
    }
    format!("{user} may not execute it{}: change its mode, or use another user", owner(&found))
}

fn is_unmapped(found: &FileStat) -> bool {
    found.st_uid == NOBODY || found.st_gid == NOBODY
}

fn owner(found: &FileStat) -> String {
    let (mode, uid, gid) = (found.st_mode & 0o7777, found.st_uid, found.st_gid);
    let unmapped = if is_unmapped(found) { "; ids that are not mapped appear as 65534" } else { "" };
    format!(" (mode {mode:04o}, of {uid}:{gid}{unmapped})")
}

/// The first directory on the way that this process may not search.
fn closed_directory(path: &Path) -> Option<(PathBuf, Option<FileStat>)> {
    let mut ancestors: Vec<_> = path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()).collect();
    ancestors.reverse();
    ancestors.into_iter().find_map(|dir| match faccessat(None, dir, AccessFlags::X_OK, AtFlags::AT_EACCESS) {
        Err(Errno::EACCES) => Some((dir.to_owned(), stat(dir).ok())),
        _ => None,
    })
}

/// The mount point of the mount that a file is on. This works without /proc.
fn mount_point(path: &Path) -> Option<PathBuf> {
    let path = std::fs::canonicalize(path).ok()?;
    let mount = |path: &Path| {
        let fd = nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())
            .map(sys::fds::adopt)
            .ok()?;
        sys::path::mount_id(fd.as_fd()).ok()
    };
    let own = mount(&path)?;
    path.ancestors().take_while(|above| mount(above) == Some(own)).last().map(Path::to_owned)
}
