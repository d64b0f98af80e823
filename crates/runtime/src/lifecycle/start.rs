//! `start`.

use std::io::Read;
use std::os::unix::net::UnixStream;

use rootling_config::id::ContainerId;

use crate::error::{Context, Error, ErrorKind, Result};
use crate::hooks::{self, HookState, Setting};
use crate::state::Status;
use crate::store::Store;

/// Executes the program of a created container.
pub fn start(store: &Store, id: &ContainerId) -> Result<()> {
    let slot = store.open(id)?;
    let record = slot.read()?;
    match slot.status(&record) {
        Status::Created => {}
        Status::Stopped => {
            return Err(wrong_state(
                "cannot start a container that has stopped",
                id,
                "delete it and create it again",
            ));
        }
        Status::Creating => {
            return Err(wrong_state("is still being created", id, "wait for its create to end"));
        }
        Status::Running | Status::Paused => {
            return Err(wrong_state(
                "cannot start an already running container",
                id,
                "nothing is left to be started",
            ));
        }
    }
    let mut connection = match UnixStream::connect(slot.notify_path()) {
        Ok(connection) => connection,
        // Another start was faster.
        Err(e)
            if e.kind() == std::io::ErrorKind::NotFound
                || e.kind() == std::io::ErrorKind::ConnectionRefused =>
        {
            return Err(wrong_state(
                "cannot start an already running container",
                id,
                "nothing is left to be started",
            ));
        }
        Err(e) => return Err(e).context(|| "connect to the notify socket"),
    };
    slot.end_wait();
    // Its end says that the program runs; before it comes only an error.
    let mut text = Vec::new();
    connection.read_to_end(&mut text).context(|| "read from the notify socket")?;
    if !text.is_empty() {
        return Err(serde_json::from_slice::<Error>(&text)
            .map_or_else(|_| Error::system(String::from_utf8_lossy(&text)), Error::unsaid));
    }
    if let Some(list) = record.hooks.as_ref().and_then(|h| h.poststart().as_ref())
        && let Err(error) =
            hooks::run("poststart", list, &HookState::of(&record, Status::Running), Setting::default())
    {
        // runtime-spec, runtime.md "Lifecycle" 9: the container is stopped then.
        if let Some(init) = record.init {
            let _ = init.signal(libc::SIGKILL);
        }
        return Err(error);
    }
    Ok(())
}

fn wrong_state(what: &str, id: &ContainerId, remedy: &str) -> Error {
    Error::new(ErrorKind::WrongState, format!("{what}: \"{id}\"; {remedy}"))
}
