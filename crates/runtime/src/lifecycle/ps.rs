//! `ps`: the processes of a container.

use rootling_config::id::ContainerId;

use crate::error::{Result, of_cgroup};
use crate::state::{Record, Status};
use crate::store::Store;
use crate::{process::ProcessRef, process_list};

/// The pids of all processes in a container, as the caller sees them. None when it has stopped.
pub fn processes(store: &Store, id: &ContainerId) -> Result<Vec<i32>> {
    let slot = store.open(id)?;
    let record = slot.read()?;
    if record.cgroup.is_none() && slot.status(&record)? == Status::Stopped {
        return Ok(Vec::new());
    }
    of(&record)
}

/// The processes by cgroup; without one, those of its pid namespace or below its first process.
pub(super) fn of(record: &Record) -> Result<Vec<i32>> {
    if !record.cgroup.is_none() {
        return record.cgroup.try_pids().map_err(of_cgroup);
    }
    let Some(init) = record.init else { return Ok(Vec::new()) };
    if !init.is_alive()? {
        return Ok(Vec::new());
    }
    Ok(process_list::of(init, record.own_pid_namespace)
        .into_iter()
        .map(|ProcessRef { pid, .. }| pid)
        .collect())
}
