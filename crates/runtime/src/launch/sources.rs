//! Sources of bind mounts that the child cannot have by itself: root of a container's user namespace
//! may not map the ids of the host's file systems, nor pass directories that are closed to it.
//!
//! For root of the host only. A thread of the runtime goes into the container's mount namespace for it, so that what
//! the container's own mount namespace has is seen as it is there. A thread and no process: a D-Bus client may have
//! threads by now, and what is cloned beside threads may execute a program but not allocate memory (fork(2)).

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use nix::sched::{CloneFlags, setns, unshare};
use rootling_init::blueprint::{Blueprint, MountPlan};
use rootling_init::{idmap, open_source};

use crate::error::{Context, Error, Result};

/// The detached mount for this bind of the plan.
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

/// Maps the ids of a detached mount that the child has, that of this bind of the plan.
pub(super) fn map(blueprint: &Blueprint, index: usize, pid: i32, tree: &OwnedFd) -> Result<()> {
    let map = blueprint.mounts.get(index).and_then(|mount| mount.idmap.as_ref());
    let map = map.ok_or_else(|| Error::system(format!("no mount number {index} with a map")))?;
    let path = format!("/proc/{pid}/ns/user");
    let users = File::open(&path).context(|| format!("open({path:?})"))?;
    idmap::apply(tree.as_fd(), map, &users)
}

fn source(mount: &MountPlan, mounts: &File, users: &File) -> Result<OwnedFd> {
    // The working directory and the root become this thread's own, as setns(2) wants it.
    unshare(CloneFlags::CLONE_FS).context(|| "unshare(CLONE_FS)")?;
    setns(mounts, CloneFlags::CLONE_NEWNS).context(|| "setns to the container's mount namespace")?;
    let tree = open_source(mount)?;
    if let Some(idmap) = &mount.idmap {
        idmap::apply(tree.as_fd(), idmap, users)?;
    }
    Ok(tree)
}
