//! createContainer hooks: in the container's namespaces, before its root is entered, and after the
//! hooks of the runtime's namespaces. Their moment is in the middle of libcontainer's init, which waits
//! there; a process beside it, in the same namespaces, runs them.

use std::rc::Rc;

use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use crate::error::{Context, Result};
use crate::hooks::{self, HookState, Setting};
use crate::plan::Plan;
use crate::report::{Channel, FromChild, ToChild};
use crate::state::Status;
use crate::sys;
use crate::sys::clone::{CloneOptions, Cloned};

/// Makes the process, if there are such hooks; its pid, for [`reap`].
pub(super) fn start(plan: &Plan, channel: &Rc<Channel>, pid: i32) -> Result<Option<Pid>> {
    if plan.create_hooks().is_empty() {
        return Ok(None);
    }
    let what = || "clone3 for the createContainer hooks";
    let runner = sys::clone::clone(CloneOptions::default()).context(what)?;
    if let Cloned::Child = &runner {
        let _ = sys::process::set_parent_death_signal(libc::SIGKILL);
        match run(plan, channel, pid) {
            Ok(()) => sys::exec::exit_now(0),
            Err(error) => {
                channel.send_failure(error);
                sys::exec::exit_now(1)
            }
        }
    }
    match runner {
        Cloned::Parent { pid, .. } => Ok(Some(Pid::from_raw(pid))),
        Cloned::Child => Ok(None),
    }
}

/// Takes the runner's exit, so that the program does not start with a child that it knows nothing of.
pub(super) fn reap(runner: Option<Pid>) {
    // It ends right after its last message, without which we were not here.
    if let Some(pid) = runner {
        let _ = waitpid(pid, None);
    }
}

fn run(plan: &Plan, channel: &Channel, pid: i32) -> Result<()> {
    // The end of the channel is the end of the launch.
    let Some(ToChild::RunHooks) = channel.receive()? else { return Ok(()) };
    let state = HookState::new(plan, Status::Creating, pid);
    // As with runc, whose hooks use paths relative to the root file system.
    let setting = Setting { dir: Some(&plan.rootfs), ..Setting::default() };
    hooks::run("createContainer", plan.create_hooks(), &state, setting)?;
    channel.send(&FromChild::HooksDone)
}
