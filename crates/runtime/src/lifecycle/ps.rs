//! `ps`: the processes of a container.

use rootling_config::id::ContainerId;

use crate::error::{Result, of_cgroup};
use crate::process_list;
use crate::state::{Record, Status};
use crate::store::Store;

/// The pids of all processes in a container, as the caller sees them. None when it has stopped.
pub fn processes(store: &Store, id: &ContainerId) -> Result<Vec<i32>> {
    let slot = store.open(id)?;
    let record = slot.read()?;
    if record.cgroup.is_none() && slot.status(&record)? == Status::Stopped {
        return Ok(Vec::new());
    }
    of(&record)
}

/// The processes by cgroup; without one, or where the first process has moved itself to another, those of its pid
/// namespace or below it as well.
pub(super) fn of(record: &Record) -> Result<Vec<i32>> {
    let mut pids = record.cgroup.try_pids().map_err(of_cgroup)?;
    let Some(init) = record.init.filter(|init| !pids.contains(&init.pid)) else { return Ok(pids) };
    if init.is_alive()? {
        let others = process_list::of(init, record.own_pid_namespace).into_iter().map(|member| member.pid);
        pids.extend(others.filter(|pid| !pids.contains(pid)).collect::<Vec<_>>());
    }
    Ok(pids)
}
