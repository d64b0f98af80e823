//! `delete`, and the removal at the end of `run`.

use std::time::Duration;

use nix::sys::signal::Signal;
use rootling_config::id::ContainerId;

use crate::error::{Error, ErrorKind, Result, of_cgroup};
use crate::late_hooks;
use crate::state::{Record, Status};
use crate::store::{Slot, Store};

/// How long killed processes may take to end.
const END: Duration = Duration::from_secs(10);
/// How long another runtime may take to finish what it is making.
const CREATE_LIMIT: Duration = Duration::from_secs(10);

/// Removes a container that has stopped or was never started, together with its cgroup and its state; runtime-spec,
/// runtime.md "Delete". With `force`, a running container is killed, and a missing one is no error. Waits for any other
/// runtime that makes or removes the container, and for its processes to end, at most 10 seconds each.
///
/// # Errors
/// There is no such container, it is running (`WrongState`), or a part of it cannot be removed, in which case the call
/// can be repeated.
pub fn delete(store: &Store, id: &ContainerId, force: bool) -> Result<()> {
    let slot = match store.open(id) {
        Err(e) if force && e.kind() == ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !force {
        check_deletable(slot.status(&slot.read()?)?, id)?;
    }
    // Wait for another runtime that removes it: what has its name afterwards is another container with another record.
    if !slot.lock(CREATE_LIMIT)? {
        return Err(Error::new(
            ErrorKind::WrongState,
            format!("container \"{id}\" is still being created; end its create first"),
        ));
    }
    if slot.is_gone()? {
        return if force { Ok(()) } else { Err(store.missing(id)) };
    }
    let record = match slot.read() {
        // If the system failed to read the record, it may be intact.
        Err(e) if force && e.errno().is_none() => match slot.recover(&e)? {
            Some(record) => record,
            // Left half made by a runtime that was killed: only the directory is left of it.
            None => return slot.remove(),
        },
        other => other?,
    };
    let status = slot.status(&record)?;
    if !force {
        check_deletable(status, id)?;
    }
    if status != Status::Stopped {
        end(&record)?;
    }
    remove_ended(&slot, &record)
}

fn check_deletable(status: Status, id: &ContainerId) -> Result<()> {
    match status {
        // The program of a created container never ran, so nothing is lost; as in runc.
        Status::Stopped | Status::Created => Ok(()),
        Status::Creating | Status::Running | Status::Paused => Err(Error::new(
            ErrorKind::WrongState,
            format!(
                "cannot delete container \"{id}\" that is not stopped: {status}; stop it with \
                 `rootling kill {id} KILL`, or use --force"
            ),
        )),
    }
}

/// Kills all processes of a container and waits for them to end.
fn end(record: &Record) -> Result<()> {
    let Some(init) = record.init else { return Ok(()) };
    match init.signal(Signal::SIGKILL as i32) {
        Err(e) if e.kind() == ErrorKind::WrongState => {}
        other => other?,
    }
    // A frozen process dies only when it is thawed (cgroup v1).
    if let Err(e) = record.cgroup.release_killed() {
        tracing::debug!("{e}");
    }
    if !init.wait_for_end(END)? {
        return Err(Error::system(format!(
            "process {} has not ended {} s after SIGKILL: it waits in the kernel, see /proc/{}/stack",
            init.pid,
            END.as_secs(),
            init.pid
        )));
    }
    Ok(())
}

/// Removes what is left of a container that ended by itself, unless another runtime is removing or has removed it.
pub(super) fn remove_own(slot: &Slot, record: &Record) -> Result<()> {
    if !slot.lock(CREATE_LIMIT)? {
        let (id, seconds) = (slot.id(), CREATE_LIMIT.as_secs());
        return Err(Error::system(format!(
            "container \"{id}\" is left as it is: another command has kept it locked for {seconds} s; remove it with \
             `rootling delete {id}`"
        )));
    }
    if slot.is_gone()? { Ok(()) } else { remove_ended(slot, record) }
}

/// Removes what is left of a container whose first process has ended. The caller must hold the lock, so that a cgroup
/// of the same name cannot be another container's.
fn remove_ended(slot: &Slot, record: &Record) -> Result<()> {
    if !record.own_pid_namespace && record.init.is_some() {
        // Without a pid namespace the other processes do not end with the first.
        record.cgroup.kill_all(Signal::SIGKILL as i32).map_err(of_cgroup)?;
    }
    record.cgroup.remove().map_err(of_cgroup)?;
    record.rdt.remove(&record.id)?;
    slot.remove()?;
    late_hooks::run_poststop(record);
    Ok(())
}
