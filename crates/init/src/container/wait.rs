//! The wait of a created container for its start.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use caps::Capability;
use rootling_sys as sys;

use super::Ready;
use super::identity;
use crate::channel::Channel;
use crate::doors::{self, Held};
use crate::error::{Context, Result};

/// What a created container holds while it waits: where `start` connects.
struct Waiting<'a> {
    accept: &'a OwnedFd,
}

impl Held for Waiting<'_> {
    fn held(&self) -> Vec<RawFd> {
        vec![self.accept.as_raw_fd()]
    }
}

/// Waits, unless it is to be started at once. Where its failure is to be told from then on.
pub(super) fn for_start<'a>(mut ready: Ready<'a>, channel: Channel) -> Result<(Channel, Ready<'a>)> {
    let Some(accept) = ready.accept.take() else { return Ok((channel, ready)) };
    // Its end tells the runtime that the wait has begun. Whoever made the container may wait for the end of a pipe that
    // this process has no use for.
    drop(channel);
    doors::close_others(&Waiting { accept: &accept }, ready.attributes.preserve_fds)?;
    if may_be_looked_at(&ready) {
        // So the owner may: `exec` joins its namespaces, which takes that much (setns(2)).
        sys::process::set_dumpable(true).context(|| "prctl(PR_SET_DUMPABLE)")?;
    }
    let connection = sys::socket::accept(accept.as_fd()).context(|| "accept on the socket for the start")?;
    // Nobody is to trace it from here on, and nobody can start it twice.
    sys::process::set_dumpable(false).context(|| "prctl(PR_SET_DUMPABLE)")?;
    drop(accept);
    Ok((Channel::of(connection), ready))
}

/// Whether it is harmless that processes of the same user, and of the container, may trace it. It is not where one with
/// CAP_SYS_PTRACE could have it execute something before its filter is loaded, or where processes of another container
/// see it.
fn may_be_looked_at(ready: &Ready<'_>) -> bool {
    let may_trace = ready.attributes.capabilities.bounding & Capability::CAP_SYS_PTRACE.bitmask() != 0;
    let unfiltered = ready.attributes.seccomp.is_some() && identity::waits_for_filter(ready.attributes);
    !ready.watched && !(unfiltered && may_trace)
}
