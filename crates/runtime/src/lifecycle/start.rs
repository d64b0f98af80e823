//! `start`.

use std::os::fd::{AsFd, OwnedFd};

use nix::sys::signal::Signal;
use rootling_config::id::ContainerId;
use rootling_init::channel::{Channel, FromChild};
use rootling_sys as sys;

use crate::error::{Context, Error, ErrorKind, Result};
use crate::late_hooks;
use crate::sd_notify::Notify;
use crate::state::Status;
use crate::store::Store;

/// Executes the program of a created container; runtime-spec, runtime.md "Start". When this returns, the program has
/// been executed. This can be called by any thread of any process.
///
/// # Errors
/// There is no such container, it was already started, or the program cannot be executed.
pub fn start(store: &Store, id: &ContainerId) -> Result<()> {
    let slot = store.open(id)?;
    let record = slot.read()?;
    let status = slot.status(&record)?;
    if record.no_process && status == Status::Created {
        return Err(nothing_to_start(id));
    }
    let init = startable(status, id).and_then(|()| record.init.ok_or_else(|| being_created(id)))?;
    let notify = Notify::of_environment(&slot)?;
    let (Some(pidfd), Some(socket)) = (init.open()?, slot.connect_for_start()?) else {
        // Another start was faster, or the first process has ended since. A first process that was killed leaves the
        // socket behind, which would make the container appear created forever.
        slot.end_wait();
        return Err(running(id));
    };
    slot.end_wait();
    wait_for_program(&pidfd, &Channel::of(socket))?;
    if let Err(error) = late_hooks::run_poststart(&record) {
        // By runtime-spec, runtime.md "Lifecycle" 9, the container is stopped then.
        let _ = init.signal(Signal::SIGKILL as i32);
        return Err(error);
    }
    match notify {
        Some(notify) => notify.wait_until_ready(pidfd.as_fd(), init.pid),
        None => Ok(()),
    }
}

fn startable(status: Status, id: &ContainerId) -> Result<()> {
    match status {
        Status::Created => Ok(()),
        Status::Stopped => {
            Err(wrong_state("cannot start a container that has stopped", id, "delete it and create it again"))
        }
        Status::Creating => Err(being_created(id)),
        Status::Paused => Err(wrong_state(
            "cannot start a container that is paused",
            id,
            &format!("resume it first with `rootling resume {id}`"),
        )),
        Status::Running => Err(running(id)),
    }
}

/// The end of the connection shows that the program runs; before it, nothing but a failure is reported.
fn wait_for_program(pidfd: &OwnedFd, channel: &Channel) -> Result<()> {
    loop {
        let fds = [Some(channel.as_fd()), Some(pidfd.as_fd())];
        let [report, _ended] = sys::poll::readable(fds, None).context(|| "poll")?;
        if !report {
            // The container has ended with its first process, which has already reported what it had to.
            return Ok(());
        }
        match channel.receive_with()? {
            None => return Ok(()),
            Some((FromChild::Failed(error), _)) => return Err(error),
            Some((FromChild::Debug(text), _)) => tracing::debug!("{text}"),
            Some((FromChild::Warning(text), _)) => tracing::warn!("{text}"),
            Some((other, _)) => {
                return Err(Error::system(format!("the container's first process says {other:?}")));
            }
        }
    }
}

/// The error for a container without a `process`; runtime-spec, runtime.md "Start".
fn nothing_to_start(id: &ContainerId) -> Error {
    let remedy = "process property must not be empty: add an object with args, cwd and user to config.json, delete \
                  the container and create it again";
    wrong_state("cannot start a container without a process", id, remedy)
}

fn running(id: &ContainerId) -> Error {
    wrong_state("cannot start an already running container", id, "nothing is left to be started")
}

fn being_created(id: &ContainerId) -> Error {
    wrong_state("is still being created", id, "wait for its create to end")
}

fn wrong_state(what: &str, id: &ContainerId, remedy: &str) -> Error {
    Error::new(ErrorKind::WrongState, format!("{what}: \"{id}\"; {remedy}"))
}
