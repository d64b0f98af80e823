//! Inside the container: from a copy of the runtime to execve(2).

use std::convert::Infallible;

use super::join::ExecContext;
use crate::child::console::{self, DevConsole};
use crate::child::{process, program};
use crate::error::{Context, Error, Result, chain};
use crate::report::{FromChild, ToChild};
use crate::sys;

/// Becomes the program, or reports why not and ends.
pub(super) fn run(context: &ExecContext) -> ! {
    let error = match become_program(context) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    context.channel.send_failure(error);
    sys::exec::exit_now(1)
}

fn become_program(context: &ExecContext) -> Result<Infallible> {
    let (plan, channel) = (&context.plan, &context.channel);
    let attributes = &plan.attributes;
    // First of all: whatever goes wrong from here on, no descriptor of the host's gets into the program.
    sys::fds::close_on_exec_from(3).context(|| "close_range")?;
    nix::unistd::setsid().context(|| "setsid")?;
    tracing::debug!("nsexec container setup: child process in init()");
    if let Some(socket) = context.console.borrow_mut().take() {
        console::set_up(&socket, attributes, DevConsole::Leave)?;
    }
    let mut env = attributes.env.clone();
    if attributes.home_missing {
        program::set_home(&mut env, attributes.uid);
    }
    process::set_attributes(attributes)?;
    if let Some(profile) = &plan.apparmor {
        libcontainer::apparmor::apply_profile(profile)
            .map_err(|e| Error::system(chain(&e)).wrap(format!("process.apparmorProfile: {profile:?}")))?;
    }
    process::set_rlimits(attributes)?;
    process::become_user(attributes, channel)?;
    if !attributes.seccomp.as_ref().is_some_and(|s| s.notify) {
        // The change of user may have made it dumpable again: proc(5), /proc/sys/fs/suid_dumpable.
        sys::process::set_dumpable(false).context(|| "prctl(PR_SET_DUMPABLE)")?;
    }
    program::verify_cwd(&attributes.cwd)?;
    let path = program::find(&attributes.args, &env)?;
    // The steps have runc's names in the log: engines and people look for them.
    tracing::debug!("setns_init: about to exec");
    process::give_up_privileges(attributes, channel)?;
    channel.send(&FromChild::Ready)?;
    let Some(ToChild::Commit { .. }) = channel.receive()? else { sys::exec::exit_now(1) };
    // It may outlive the runtime from here on.
    sys::process::set_parent_death_signal(0).context(|| "prctl(PR_SET_PDEATHSIG)")?;
    Err(process::execute(attributes, &path, &env))
}
