//! The standard streams of a process in a user namespace.

use nix::sys::stat::{FileStat, SFlag, fstat};
use nix::unistd::{Uid, fchown};
use rootling_config::idmap::{IdKind, to_host};
use rootling_rootless::host::map_of;
use rootling_sys as sys;

/// Makes user `uid` of the user namespace of process `pid` the owner of those standard streams that are pipes and
/// belong to the caller, so that the process can reopen them as /dev/stdout and the like, as images do for their logs.
///
/// The process does this itself where it can. In a user namespace it cannot, since the owner of the pipes is none of
/// its ids. Anything that outlives the container, such as a file or a terminal of the host, keeps its owner. This is
/// best effort: an ordinary user cannot change the owner of a file.
pub(crate) fn give_pipes_to(uid: u32, pid: i32) {
    let Some(owner) = map_of(pid, IdKind::User).ok().and_then(|maps| to_host(&maps, uid)) else { return };
    for fd in 0..3 {
        let is_others =
            |stat: FileStat| sys::file::kind(stat.st_mode) == SFlag::S_IFIFO && stat.st_uid != owner;
        if fstat(fd).is_ok_and(is_others)
            && let Err(errno) = fchown(fd, Some(Uid::from_raw(owner)), None)
        {
            tracing::debug!("standard stream {fd} keeps its owner: {errno}");
        }
    }
}
