//! Making the container's first process, directly or through one that joins namespaces before.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;

use nix::errno::Errno;
use rootling_config::namespaces::{Namespace, NamespaceSet};

use super::{join, maps};
use crate::child::{self, ChildContext};
use crate::error::{Context, Error, Result};
use crate::plan::Plan;
use crate::report::{Channel, FromChild, ToChild};
use crate::sys;
use crate::sys::clone::{CloneOptions, Cloned};

/// The container's first process.
pub(crate) struct Init {
    pub(crate) pid: i32,
    pub(crate) pidfd: OwnedFd,
}

/// Clones it; the init, and whether it is in the cgroup. Only the parent returns.
pub(super) fn clone_init(
    plan: &Plan,
    cgroup: Option<&OwnedFd>,
    context: &Rc<ChildContext>,
    channel: &Channel,
) -> Result<(Init, bool)> {
    let cgroup = cgroup.map(AsRawFd::as_raw_fd);
    let namespaces = own_flags(&plan.namespaces);
    // The words of runc for the moments that are the same, here and in the child: logs are searched for them.
    tracing::debug!(
        "nsexec container setup: clone3 with namespaces {namespaces:#x}{}",
        if join::needed(&plan.namespaces) { ", by a process that joins others first" } else { "" }
    );
    if !join::needed(&plan.namespaces) {
        return match clone_into(CloneOptions { namespaces, cgroup, sibling: false }, plan)? {
            (Cloned::Parent { pid, pidfd }, inside) => Ok((Init { pid, pidfd }, inside)),
            (Cloned::Child, _) => child::run(context),
        };
    }
    match clone_into(CloneOptions { cgroup, ..CloneOptions::default() }, plan)? {
        (Cloned::Child, _) => join::run(plan, namespaces, context),
        (Cloned::Parent { pid, pidfd }, inside) => {
            let joiner = Init { pid, pidfd };
            let result = joined_init(channel, plan, joiner.pid);
            reap(&joiner);
            result.map(|init| (init, inside))
        }
    }
}

/// Clones into the cgroup, or where the kernel refuses just that, outside of it; whether inside.
fn clone_into(options: CloneOptions, plan: &Plan) -> Result<(Cloned, bool)> {
    match sys::clone::clone(options) {
        // No right to move processes there, or a cgroup that takes none: joining it later says which.
        Err(Errno::EACCES | Errno::EBUSY | Errno::EOPNOTSUPP) if options.cgroup.is_some() => {
            clone(CloneOptions { cgroup: None, ..options }, plan).map(|cloned| (cloned, false))
        }
        Err(errno) => Err(maps::clone_error(errno, plan.namespaces.user.is_new())),
        Ok(cloned) => Ok((cloned, options.cgroup.is_some())),
    }
}

/// What has to be new at the very clone: a pid namespace is entered only by a child, and a user
/// namespace comes first, since it owns the others. libcontainer unshares the rest.
fn own_flags(namespaces: &NamespaceSet) -> u64 {
    let flag = |namespace: &Namespace, flag: i32| if namespace.is_new() { flag as u64 } else { 0 };
    flag(&namespaces.user, libc::CLONE_NEWUSER) | flag(&namespaces.pid, libc::CLONE_NEWPID)
}

pub(super) fn clone(options: CloneOptions, plan: &Plan) -> Result<Cloned> {
    sys::clone::clone(options).map_err(|errno| maps::clone_error(errno, plan.namespaces.user.is_new()))
}

/// The process that the joiner cloned: our own child, so that its pid cannot be used again.
fn joined_init(channel: &Channel, plan: &Plan, joiner: i32) -> Result<Init> {
    let mut message = channel.receive()?;
    if let (Some(FromChild::NeedsMaps), Some(maps)) = (&message, &plan.maps) {
        maps::write(joiner, maps)?;
        channel.send(&ToChild::Begin(joiner))?;
        message = channel.receive()?;
    }
    match message {
        Some(FromChild::Cloned(pid)) => {
            let pidfd = sys::process::pidfd_open(pid).context(|| format!("pidfd_open({pid})"))?;
            Ok(Init { pid, pidfd })
        }
        Some(FromChild::Failed(error)) => Err(error),
        _ => Err(Error::system("the process that joins the namespaces ended early")),
    }
}

/// Waits for a process that ends by itself at once.
pub(crate) fn reap(process: &Init) {
    let _ = crate::process::wait_readable(process.pidfd.as_fd(), 10_000);
    let _ = nix::sys::wait::waitpid(
        nix::unistd::Pid::from_raw(process.pid),
        Some(nix::sys::wait::WaitPidFlag::WNOHANG),
    );
}
