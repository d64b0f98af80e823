//! The wait of a created container for its start.

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rootling_sys as sys;

use super::ready::Ready;
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
pub(crate) fn for_start(mut ready: Ready<'_>, channel: Channel) -> Result<(Channel, Ready<'_>)> {
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

/// Whether it is harmless that processes of the same user may trace it. It is not where a filter is still to be loaded:
/// a process of `exec`, which has the filter, could have this one do what the filter is against. Nor where processes of
/// another container see it.
fn may_be_looked_at(ready: &Ready<'_>) -> bool {
    !ready.watched && ready.attributes.seccomp.is_none()
}
