//! Sources of bind mounts that the child cannot open by itself: root of a container's user namespace may neither map
//! the ids of the host's file systems nor pass through directories that are closed to it.
//!
//! This is for root of the host only. A thread of the runtime enters the container's mount namespace for it, so that
//! mounts of that namespace are seen as they are there. It is a thread rather than a process because a D-Bus client may
//! have threads by now, and a process that is cloned from a multi-threaded one may execute a program but must not
//! allocate memory (fork(2)).

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use nix::sched::{CloneFlags, setns, unshare};
use rootling_init::blueprint::{Blueprint, MountPlan};
use rootling_init::{idmap, open_source};

use crate::error::{Context, Error, Result};

/// The detached mount for the bind mount at this index of the plan.
pub(super) fn open(blueprint: &Blueprint, index: usize, pid: i32) -> Result<OwnedFd> {
    let mount =
        blueprint.mounts.get(index).ok_or_else(|| Error::system(format!("no mount number {index}")))?;
    let open = |kind: &str| {
        let path = format!("/proc/{pid}/ns/{kind}");
        File::open(&path).context(|| format!("open({path:?})"))
    };
    let (mounts, users) = (open("mnt")?, open("user")?);
    std::thread::scope(|scope| {
        let worker = std::thread::Builder::new()
            .spawn_scoped(scope, || source(mount, &mounts, &users))
            .context(|| "a thread for the source of a mount")?;
        worker
            .join()
            .unwrap_or_else(|_| Err(Error::system("the thread for the source of a mount ended early")))
    })
}

/// Maps the ids of a detached mount that the child has opened, for the bind mount at this index of the plan.
pub(super) fn map(blueprint: &Blueprint, index: usize, pid: i32, tree: &OwnedFd) -> Result<()> {
    let map = blueprint.mounts.get(index).and_then(|mount| mount.idmap.as_ref());
    let map = map.ok_or_else(|| Error::system(format!("no mount number {index} with a map")))?;
    let path = format!("/proc/{pid}/ns/user");
    let users = File::open(&path).context(|| format!("open({path:?})"))?;
    idmap::apply(tree.as_fd(), map, &users)
}

fn source(mount: &MountPlan, mounts: &File, users: &File) -> Result<OwnedFd> {
    // Gives this thread a working directory and a root of its own, as setns(2) requires.
    unshare(CloneFlags::CLONE_FS).context(|| "unshare(CLONE_FS)")?;
    setns(mounts, CloneFlags::CLONE_NEWNS).context(|| "setns to the container's mount namespace")?;
    let tree = open_source(mount)?;
    if let Some(idmap) = &mount.idmap {
        idmap::apply(tree.as_fd(), idmap, users)?;
    }
    Ok(tree)
}
