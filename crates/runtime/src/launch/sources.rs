//! Sources of bind mounts that the child cannot have by itself: root of a container's user namespace
//! may not map the ids of the host's file systems, nor pass directories that are closed to it.
//!
//! For root of the host only. A process of the runtime's rights goes into the container's mount
//! namespace for it, so that what earlier mounts of the container cover is seen as it is there.

use std::fs::File;
use std::os::fd::AsFd;

use nix::sched::{CloneFlags, setns};

use super::clone::{Init, reap};
use crate::child::open_source;
use crate::error::{Context, Error, Result};
use crate::idmap;
use crate::lower::MountPlan;
use crate::plan::Plan;
use crate::report::{Channel, ToChild};
use crate::sys;
use crate::sys::clone::{CloneOptions, Cloned};

/// Sends the child the detached mount for this bind of the plan, or why there is none.
pub(super) fn answer(plan: &Plan, index: usize, pid: i32, channel: &Channel) -> Result<()> {
    let mount =
        plan.lowered.mounts.get(index).ok_or_else(|| Error::system(format!("no mount number {index}")))?;
    let open = |kind: &str| {
        let path = format!("/proc/{pid}/ns/{kind}");
        File::open(&path).context(|| format!("open({path:?})"))
    };
    let (mounts, users) = (open("mnt")?, open("user")?);
    match sys::clone::clone(CloneOptions::default()).context(|| "clone3 for the source of a mount")? {
        Cloned::Parent { pid, pidfd } => {
            reap(&Init { pid, pidfd });
            Ok(())
        }
        Cloned::Child => {
            let sent = match source(mount, &mounts, &users) {
                Ok(fd) => channel.send_with(&ToChild::Source, fd.as_fd()),
                Err(error) => channel.send(&ToChild::NoSource(error)),
            };
            sys::exec::exit_now(i32::from(sent.is_err()))
        }
    }
}

fn source(mount: &MountPlan, mounts: &File, users: &File) -> Result<std::os::fd::OwnedFd> {
    setns(mounts, CloneFlags::CLONE_NEWNS).context(|| "setns to the container's mount namespace")?;
    let tree = open_source(mount)?;
    if let Some(idmap) = &mount.idmap {
        idmap::apply(tree.as_fd(), idmap, users)?;
    }
    Ok(tree)
}
