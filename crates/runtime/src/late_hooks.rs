//! Hooks that run in the runtime's namespaces, after a container has been recorded.

use rootling_init::hooks::{self, HookState, Setting};

use crate::error::Result;
use crate::state::{Record, Status};

/// Runs the poststart hooks.
pub(crate) fn run_poststart(record: &Record) -> Result<()> {
    let Some(list) = record.hooks.as_ref().and_then(|h| h.poststart().as_ref()) else { return Ok(()) };
    let identity = record.identity()?;
    let pid = record.init.map_or(0, |init| init.pid);
    hooks::run("poststart", list, &HookState::new(&identity, Status::Running.name(), pid), Setting::default())
}

/// Runs the poststop hooks of a container that has ended. By runtime-spec, runtime.md "Lifecycle" 13, a failure is
/// logged and the remaining hooks run all the same.
pub(crate) fn run_poststop(record: &Record) {
    for hook in record.hooks.iter().filter_map(|h| h.poststop().as_ref()).flatten() {
        let ran = record.identity().and_then(|identity| {
            let state = HookState::new(&identity, Status::Stopped.name(), 0);
            hooks::run("poststop", std::slice::from_ref(hook), &state, Setting::default())
        });
        if let Err(error) = ran {
            tracing::warn!("{error}");
        }
    }
}
