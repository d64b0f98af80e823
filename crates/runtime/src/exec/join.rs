//! The process between the runtime and the container: it joins the namespaces, so that the runtime
//! never leaves its own, and clones the one that becomes the program.

use std::cell::RefCell;
use std::os::fd::{OwnedFd, RawFd};

use super::finish;
use super::namespaces::Namespaces;
use super::plan::ExecPlan;
use crate::error::{Context, Error, Result};
use crate::launch::{raise_rlimits, reset_signals};
use crate::report::{Channel, FromChild, ToChild};
use crate::sys;
use crate::sys::clone::{CloneOptions, Cloned};

/// What the child has, beside the plan.
pub(super) struct ExecContext {
    pub(super) plan: ExecPlan,
    pub(super) namespaces: Namespaces,
    /// The child's end.
    pub(super) channel: Channel,
    /// Where the terminal goes.
    pub(super) console: RefCell<Option<OwnedFd>>,
    /// The runtime's ends: held by the child as well, their end would never be seen.
    pub(super) runtimes: Vec<RawFd>,
}

/// Joins the container, or reports why not and ends. `wait`: not before it is in the container's cgroup.
pub(super) fn run(context: &ExecContext, wait: bool) -> ! {
    for fd in &context.runtimes {
        let _ = nix::unistd::close(*fd);
    }
    if wait && !matches!(context.channel.receive(), Ok(Some(ToChild::Placed))) {
        // The runtime has gone, or knows why.
        sys::exec::exit_now(1);
    }
    match join(context) {
        Ok(Some(pid)) => {
            let told = context.channel.send(&FromChild::Cloned(pid));
            sys::exec::exit_now(i32::from(told.is_err()))
        }
        Ok(None) => finish::run(context),
        Err(error) => {
            context.channel.send_failure(error);
            sys::exec::exit_now(1)
        }
    }
}

/// The pid of the process that becomes the program; `None` in that process.
fn join(context: &ExecContext) -> Result<Option<i32>> {
    reset_signals()?;
    die_with_runtime()?;
    if let Some(score) = context.plan.attributes.oom_score_adj {
        set_oom_score(score)?;
    }
    // Before the privilege goes that it may take.
    raise_rlimits(0, &context.plan.attributes.rlimits)?;
    log_affinity();
    // Before any of the container's processes can see this one or its child (CVE-2016-9962).
    sys::process::set_dumpable(false).context(|| "prctl(PR_SET_DUMPABLE)")?;
    context.namespaces.join()?;
    // The change of ids has made the kernel forget both.
    sys::process::set_dumpable(false).context(|| "prctl(PR_SET_DUMPABLE)")?;
    die_with_runtime()?;
    if !context.namespaces.need_child() {
        return Ok(None);
    }
    let options = CloneOptions { sibling: true, ..CloneOptions::default() };
    match sys::clone::clone(options).context(|| "clone3")? {
        Cloned::Parent { pid, .. } => Ok(Some(pid)),
        Cloned::Child => {
            die_with_runtime()?;
            Ok(None)
        }
    }
}

/// The runtime's end, until the program is about to run, is the child's as well.
fn die_with_runtime() -> Result<()> {
    sys::process::set_parent_death_signal(libc::SIGKILL).context(|| "prctl(PR_SET_PDEATHSIG)")
}

/// Of this process, which hands it on: its own may be written, and in the host's /proc.
fn set_oom_score(score: i32) -> Result<()> {
    let path = "/proc/self/oom_score_adj";
    std::fs::write(path, score.to_string())
        .context(|| format!("process.oomScoreAdj: write({path:?}, {score})"))
        .map_err(|e: Error| {
            e.remedy("only root may go below the caller's own value, see /proc/self/oom_score_adj")
        })
}

fn log_affinity() {
    if tracing::enabled!(tracing::Level::DEBUG)
        && let Ok(mask) = sys::scheduling::affinity()
    {
        let low = mask.first().copied().unwrap_or_default();
        tracing::debug!("nsexec container setup: affinity: {low:#x}");
    }
}
