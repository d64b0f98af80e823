//! Makes the container's first process, either directly or through a process that joins existing namespaces first.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sched::CloneFlags;
use rootling_init::channel::Channel;
use rootling_init::host::{self, ChildEnd};
use rootling_sys as sys;
use rootling_sys::clone::{CloneOptions, Cloned, EndOnPanic};
use rootling_sys::signals::Signals;

use super::maps;
use super::reactor::{Process, Reactor};
use crate::caller::check_single_threaded;
use crate::error::{Result, no_clone};
use crate::plan::Plan;

/// The name of the container's first process in error messages.
pub(super) const FIRST: &str = "the container's first process";

/// Clones the first process; returns what waits for it, and whether it is in the cgroup. Only the parent returns.
/// `parent_fds` are those descriptors of the runtime that the child must not hold.
pub(super) fn clone_child(
    plan: &Plan,
    cgroup: Option<&OwnedFd>,
    end: ChildEnd<'_>,
    parent_fds: &[RawFd],
    channel: Channel,
    signals: Signals,
) -> Result<(Reactor, bool)> {
    let namespaces = &plan.blueprint.namespaces;
    let joins = host::join::needed(namespaces);
    let own = host::join::own_flags(namespaces);
    // Where runc logs the same step, here and in the child, its wording is used: people search logs for it.
    tracing::debug!(
        "nsexec container setup: clone3 with namespaces {own:#x}{}",
        if joins { ", by a process that joins others first" } else { "" }
    );
    let options = CloneOptions {
        namespaces: if joins { CloneFlags::empty() } else { own },
        cgroup: cgroup.map(AsRawFd::as_raw_fd),
        ..CloneOptions::default()
    };
    check_single_threaded()?;
    let (cloned, inside) = clone_into(options, plan)?;
    let _end = matches!(cloned, Cloned::Child).then_some(EndOnPanic);
    let process = match cloned {
        Cloned::Parent { pid, pidfd } => Process { pid, pidfd },
        Cloned::Child if joins => host::join::run(end, parent_fds, &plan.blueprint),
        Cloned::Child => host::run(end, parent_fds, &plan.blueprint),
    };
    // The child must hold the only copy of its end, so that closing it closes the channel.
    drop(end);
    if !joins {
        return Ok((Reactor::new(channel, signals, process, FIRST), inside));
    }
    let mut reactor = Reactor::new(channel, signals, process, "the process that joins the namespaces");
    let mut write = |reactor: &Reactor| maps::write(plan, reactor);
    match reactor.take_over(FIRST, &mut write) {
        Ok(()) => Ok((reactor, inside)),
        Err(error) => {
            reactor.abandon();
            Err(error)
        }
    }
}

/// Clones into the cgroup or, if just that is refused, outside of it; returns whether it is inside.
fn clone_into(options: CloneOptions, plan: &Plan) -> Result<(Cloned, bool)> {
    let refused = |errno| no_clone(errno, &plan.blueprint.namespaces);
    match sys::clone::clone(options) {
        // No permission to move processes there, or a cgroup that accepts none: joining it later reports which of them
        // it is. Or a filter refuses clone3, the only call that can do it.
        Err(Errno::EACCES | Errno::EBUSY | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EPERM)
            if options.cgroup.is_some() =>
        {
            let outside = CloneOptions { cgroup: None, ..options };
            sys::clone::clone(outside).map(|cloned| (cloned, false)).map_err(refused)
        }
        Err(errno) => Err(refused(errno)),
        Ok(cloned) => Ok((cloned, options.cgroup.is_some())),
    }
}
