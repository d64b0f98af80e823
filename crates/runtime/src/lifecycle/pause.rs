//! `pause` and `resume`.

use rootling_config::id::ContainerId;

use crate::error::{Error, ErrorKind, Result, of_cgroup};
use crate::state::Status;
use crate::store::Store;

/// Freezes all processes of a container.
pub fn pause(store: &Store, id: &ContainerId) -> Result<()> {
    let slot = store.open(id)?;
    let record = slot.read()?;
    let _held = slot.hold()?;
    match slot.status(&record)? {
        Status::Running | Status::Created => record.cgroup.freeze().map_err(of_cgroup),
        status => Err(Error::new(
            ErrorKind::WrongState,
            format!("container not running: \"{id}\" is {status}, so there is nothing to pause"),
        )),
    }
}

/// Thaws the processes of a paused container.
pub fn resume(store: &Store, id: &ContainerId) -> Result<()> {
    let slot = store.open(id)?;
    let record = slot.read()?;
    let _held = slot.hold()?;
    let status = slot.status(&record)?;
    // A container that was paused before its start has the status "created".
    if status == Status::Paused
        || (status == Status::Created && record.cgroup.is_frozen().map_err(of_cgroup)?)
    {
        return record.cgroup.thaw().map_err(of_cgroup);
    }
    Err(Error::new(
        ErrorKind::WrongState,
        format!("container not paused: \"{id}\" is {status}, so there is nothing to resume"),
    ))
}
