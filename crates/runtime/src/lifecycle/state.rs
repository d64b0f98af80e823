//! `state`, and waiting for a container to end.

use std::os::fd::AsFd;

use nix::errno::Errno;
use rootling_config::id::ContainerId;
use rootling_sys as sys;

use crate::error::{Context, Error, ErrorKind, Result};
use crate::foreground;
use crate::state::StateView;
use crate::store::Store;

/// Returns the state of a container; runtime-spec, runtime.md "State" and "Query State".
///
/// # Errors
/// There is no such container, or its record cannot be read.
pub fn state(store: &Store, id: &ContainerId) -> Result<StateView> {
    let slot = store.open(id)?;
    let record = slot.read()?;
    Ok(record.view(slot.status(&record)?))
}

/// Waits for a container's first process to end, and reaps it if it is a child of the calling process, as it is for the
/// process that created the container. Returns `Some` with its exit code, or with 128 plus the number of the signal
/// that ended it; returns `None` if the process has ended but the exit status is not available, since the kernel
/// reports it only to the parent, and only once. This can be called by any thread.
///
/// # Errors
/// There is no such container, or it is still being created.
pub fn wait(store: &Store, id: &ContainerId) -> Result<Option<i32>> {
    let record = store.open(id)?.read()?;
    let init = record.init.ok_or_else(|| {
        Error::new(
            ErrorKind::WrongState,
            format!("container \"{id}\" is still being created, or never was complete"),
        )
    })?;
    let Some(pidfd) = init.open_dead_or_alive()? else { return Ok(None) };
    // waitid(2) fails at once for a process that is not a child of the caller, so wait for the pidfd instead.
    sys::poll::readable([Some(pidfd.as_fd())], None).context(|| "poll")?;
    match foreground::exit_code(pidfd.as_fd()) {
        Err(error) if error.is(Errno::ECHILD) => Ok(None),
        code => code.map(Some),
    }
}
