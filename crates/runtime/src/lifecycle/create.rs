//! `create` and `run`.

use std::os::fd::AsFd;
use std::path::PathBuf;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use rootling_config::container;
use rootling_init::channel::Warn;
use rootling_rootless::host::Host;
use rootling_sys as sys;

use super::prepare::plan;
use crate::caller::{Caller, check_single_threaded};
use crate::error::{Error, Result, chain};
use crate::foreground;
use crate::late_hooks;
use crate::launch::{LaunchMode, Launched, launch};
use crate::plan::CreateOptions;
use crate::sd_notify::{self, Notify};
use crate::store::{Slot, Store};

/// The options of `run` and `restore`, beside those of `create`.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// Do not stay with the container (`--detach`).
    pub detach: bool,
    /// Keep its state and its cgroup when it has ended (`--keep`).
    pub keep: bool,
    /// Do not adopt its orphaned processes (`--no-subreaper`).
    pub no_subreaper: bool,
}

impl RunOptions {
    /// Makes processes that the container leaves behind children of the calling process, which reaps them.
    pub(super) fn adopt_orphans(self, caller: Caller) {
        if caller == Caller::Command && !self.detach && !self.no_subreaper {
            let _ = prctl::set_child_subreaper(true);
        }
    }
}

/// Makes a container that waits for its start; runtime-spec, runtime.md "Create". Its first process is a child of the
/// calling process and inherits its standard streams, unless config.json asks for a terminal.
///
/// # Errors
/// The calling process has more than one thread, a container with that id exists, or the container cannot be made. In
/// each case nothing is left behind.
pub fn create(host: &Host, store: &Store, options: &CreateOptions, warn: Warn<'_>) -> Result<()> {
    check_single_threaded()?;
    let notify = notify_directory(store, options);
    let plan = plan(host, options, notify.as_deref(), warn)?;
    // From here on there is something to undo.
    let signals = options.caller.block_signals()?;
    let slot = new_slot(store, options, notify.is_some())?;
    let mode = LaunchMode { detached: true, waits: true };
    launch(host, plan, slot, options, mode, signals, warn)?.commit(warn).map(drop)
}

fn notify_directory(store: &Store, options: &CreateOptions) -> Option<PathBuf> {
    if options.caller == Caller::Command { sd_notify::directory(store, &options.id) } else { None }
}

fn new_slot(store: &Store, options: &CreateOptions, notify: bool) -> Result<Slot> {
    let slot = store.create(&options.id)?;
    if notify {
        slot.make_notify_directory().inspect_err(|_| drop(slot.remove()))?;
    }
    Ok(slot)
}

/// Makes a container, starts it and, unless detached, waits for it to end and removes it. Returns its exit code, or 128
/// plus the number of the signal that ended it. Signals that the calling thread gets meanwhile are passed on to the
/// container.
///
/// # Errors
/// Those of [`create`]. An error after the start comes from a poststart hook; the container has been ended then.
pub fn run(
    host: &Host,
    store: &Store,
    options: &CreateOptions,
    run: RunOptions,
    warn: Warn<'_>,
) -> Result<i32> {
    check_single_threaded()?;
    let notify = notify_directory(store, options);
    let plan = plan(host, options, notify.as_deref(), warn)?;
    if plan.no_process {
        return Err(Error::invalid(chain(&container::no_process())));
    }
    // From here on there is something to undo.
    let signals = options.caller.block_signals()?;
    let slot = new_slot(store, options, notify.is_some())?;
    run.adopt_orphans(options.caller);
    let mode = LaunchMode { detached: run.detach, waits: false };
    let ready = launch(host, plan, slot, options, mode, signals, warn)?;
    let notify = Notify::of_environment(ready.slot())?;
    let mut launched = ready.commit(warn)?;
    if let Err(error) = late_hooks::run_poststart(&launched.record) {
        let _ = sys::process::pidfd_send_signal(launched.pidfd.as_fd(), Signal::SIGKILL as i32);
        let _ = foreground::exit_code(launched.pidfd.as_fd());
        clean_up(&launched);
        return Err(error);
    }
    if run.detach {
        if let Some(notify) = notify {
            let pid = launched.record.init.map_or(0, |init| init.pid);
            notify.wait_until_ready(launched.pidfd.as_fd(), pid)?;
        }
        return Ok(0);
    }
    let code = foreground::wait(foreground::Program {
        pidfd: launched.pidfd.as_fd(),
        signals: &mut launched.signals,
        terminal: launched.terminal.take(),
        notify: notify.as_ref(),
        caller: options.caller,
    });
    if !run.keep {
        clean_up(&launched);
    }
    code
}

/// Cleans up after a container in the foreground. Failures are logged and do not hide its exit code.
pub(super) fn clean_up(launched: &Launched) {
    if let Err(error) = super::delete::remove_own(&launched.slot, &launched.record) {
        tracing::warn!("{}", chain(&error));
    }
}
