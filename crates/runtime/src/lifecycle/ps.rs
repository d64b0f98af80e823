//! `ps`: the processes of a container.

use rootling_config::id::ContainerId;

use crate::error::{Result, of_cgroup};
use crate::process::ProcessRef;
use crate::process_list::{self, Own};
use crate::state::{Record, Status};
use crate::store::Store;

/// Returns the pids of all processes in a container, as the caller sees them; none if it has stopped.
pub fn processes(store: &Store, id: &ContainerId) -> Result<Vec<i32>> {
    let slot = store.open(id)?;
    let record = slot.read()?;
    if record.cgroup.is_none() && slot.status(&record)? == Status::Stopped {
        return Ok(Vec::new());
    }
    of(&record)
}

/// The processes in the container's cgroup. Without a cgroup, or if the first process has moved itself to another one,
/// also those that are found by the container's namespaces.
fn of(record: &Record) -> Result<Vec<i32>> {
    let mut pids = record.cgroup.try_pids().map_err(of_cgroup)?;
    let Some(init) = record.init.filter(|init| !pids.contains(&init.pid)) else { return Ok(pids) };
    if init.is_alive()? {
        let others = without_cgroup(record, init).into_iter().map(|member| member.pid);
        pids.extend(others.filter(|pid| !pids.contains(pid)).collect::<Vec<_>>());
    }
    Ok(pids)
}

/// The processes that can be found without a cgroup, the first process first.
pub(super) fn without_cgroup(record: &Record, init: ProcessRef) -> Vec<ProcessRef> {
    let own = match (record.own_pid_namespace, record.own_mount_namespace) {
        (true, _) => Own::Pids,
        (false, true) => Own::Mounts,
        (false, false) => Own::Nothing,
    };
    let found = process_list::of(init, own);
    tracing::debug!("{} processes are found from process {} and its namespaces", found.len(), init.pid);
    found
}
