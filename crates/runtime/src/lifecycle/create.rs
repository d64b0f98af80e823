//! `create` and `run`.

use std::os::fd::AsFd;

use super::prepare::{Warn, plan};
use crate::error::{Result, chain};
use crate::foreground;
use crate::hooks::{self, HookState, Setting};
use crate::launch::{How, Launch, Launched, Signals};
use crate::plan::CreateOptions;
use crate::state::{Record, Status};
use crate::store::Store;
use crate::sys;

/// What `run` takes beside the options of `create`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// Do not stay with the container (`--detach`).
    pub detach: bool,
    /// Leave its state and cgroup when it has ended (`--keep`).
    pub keep: bool,
    /// Do not adopt its orphans (`--no-subreaper`).
    pub no_subreaper: bool,
}

/// Makes a container that waits for its start.
pub fn create(store: &Store, options: &CreateOptions, warn: Warn<'_>) -> Result<()> {
    let plan = plan(options, warn)?;
    let slot = store.create(&options.id)?;
    let how = How { detached: true, waits: true };
    let launch = Launch::new(plan, slot, options, how, Signals::block()?, warn)?;
    launch.commit(false).map(drop)
}

/// Makes a container, starts it and, unless detached, waits for its end; its exit code.
pub fn run(store: &Store, options: &CreateOptions, run: RunOptions, warn: Warn<'_>) -> Result<i32> {
    let plan = plan(options, warn)?;
    let slot = store.create(&options.id)?;
    if !run.detach && !run.no_subreaper {
        let _ = sys::process::set_subreaper();
    }
    let how = How { detached: run.detach, waits: false };
    let launch = Launch::new(plan, slot, options, how, Signals::block()?, warn)?;
    let mut launched = launch.commit(true).map_err(|e| if run.detach { e.unsaid() } else { e })?;
    if let Err(error) = poststart(&launched.record) {
        let _ = sys::process::pidfd_send_signal(launched.pidfd.as_fd(), libc::SIGKILL);
        let _ = foreground::exit_code(launched.pidfd.as_fd());
        clean_up(&launched);
        return Err(error);
    }
    if run.detach {
        return Ok(0);
    }
    let code = foreground::wait(foreground::Program {
        pidfd: launched.pidfd.as_fd(),
        signals: &mut launched.signals,
        terminal: launched.terminal.take(),
    });
    if !run.keep {
        clean_up(&launched);
    }
    code
}

fn poststart(record: &Record) -> Result<()> {
    match record.hooks.as_ref().and_then(|h| h.poststart().as_ref()) {
        Some(list) => {
            hooks::run("poststart", list, &HookState::of(record, Status::Running), Setting::default())
        }
        None => Ok(()),
    }
}

/// After the end of a container in the foreground; what fails is logged and does not hide its exit code.
pub(super) fn clean_up(launched: &Launched) {
    if let Err(error) = super::delete::remove_ended(&launched.slot, &launched.record) {
        tracing::warn!("{}", chain(&error));
    }
}
