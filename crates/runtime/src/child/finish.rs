//! After libcontainer: from a root file system with mounts to execve(2).
//!
//! The order matters for security, and each step says why it is where it is.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;

use super::console::{self, DevConsole};
use super::context::ChildContext;
use super::devices::{self, DeviceSource};
use super::waiting::Waiting;
use super::{mounts, paths, process, program};
use crate::error::{Context, Error, Result};
use crate::hooks;
use crate::lower::Dev;
use crate::plan::Finish;
use crate::report::{Channel, FromChild, ToChild};
use crate::state::Status;
use crate::sys;

/// Does everything that is left, waits for the start and executes the program.
pub(super) fn run(
    context: &ChildContext,
    channel: &Channel,
    devices: &[DeviceSource],
    waiting: &Waiting,
    pid: i32,
) -> Result<Infallible> {
    let plan = &context.plan;
    let finish = &plan.finish;
    // First of all: whatever goes wrong from here on, no descriptor of the host's gets into the program.
    sys::fds::close_on_exec_from(3).context(|| "close_range")?;
    waiting.attach(&plan.lowered.mounts)?;
    if finish.loopback {
        sys::net::loopback_up().context(|| "bring the loopback interface up")?;
    }
    if !matches!(plan.lowered.dev, Dev::Fresh { .. }) {
        devices::drop_scratch()?;
    }
    if plan.lowered.dev == Dev::Plain {
        devices::make_links()?;
    }
    devices::make(devices)?;
    if let Some(socket) = context.console.borrow_mut().take() {
        console::set_up(&socket, &finish.process, DevConsole::Cover)?;
    }
    program::make_cwd(&finish.process.cwd)?;
    if plan.lowered.dev == (Dev::Fresh { readonly: true }) {
        paths::close("/dev")?;
    }
    mounts::set_propagation(&plan.lowered.mounts)?;
    seal(finish)?;
    let mut env = finish.process.env.clone();
    if finish.process.home_missing {
        program::set_home(&mut env, finish.process.uid);
    }
    process::set_attributes(&finish.process)?;
    // Nobody in a namespace that we joined is to get hold of what we have open (CVE-2016-9962).
    sys::process::set_dumpable(false).context(|| "prctl(PR_SET_DUMPABLE)")?;
    process::set_rlimits(&finish.process)?;
    if context.waits {
        sys::process::end_on_signals();
    }
    process::become_user(&finish.process, channel)?;
    program::verify_cwd(&finish.process.cwd)?;
    let path = program::find(&finish.process.args, &env)?;
    process::give_up_privileges(&finish.process, channel)?;
    if tracing::enabled!(tracing::Level::DEBUG) {
        // By way of the runtime: standard error may be the container's terminal by now.
        channel.send(&FromChild::Debug("init: closing the pipe to signal completion".into()))?;
    }
    channel.send(&FromChild::Ready)?;
    let Some(ToChild::Commit { start }) = channel.receive()? else { sys::exec::exit_now(1) };
    // The container is recorded: it no longer ends with the runtime.
    sys::process::set_parent_death_signal(0).context(|| "prctl(PR_SET_PDEATHSIG)")?;
    if start {
        return Err(execute(context, &path, &env, pid));
    }
    wait_and_execute(context, channel, &path, &env, pid)
}

/// Closes the root file system to changes, when all that needed them is done.
fn seal(finish: &Finish) -> Result<()> {
    if finish.readonly_root {
        paths::readonly_root()?;
    }
    // After the root, so that a path of its own is not opened again by it.
    paths::make_readonly(&finish.readonly_paths)?;
    paths::mask(&finish.masked_paths)?;
    if let Some((flags, recursive)) = finish.root_propagation {
        paths::set_root_propagation(flags, recursive)?;
    }
    Ok(())
}

/// The wait of a created container: the end of the channel tells the runtime that it has begun.
fn wait_and_execute(
    context: &ChildContext,
    channel: &Channel,
    path: &CString,
    env: &[CString],
    pid: i32,
) -> Result<Infallible> {
    nix::sys::socket::shutdown(channel.as_fd().as_raw_fd(), nix::sys::socket::Shutdown::Both)
        .context(|| "shutdown of the channel to the runtime")?;
    // Whoever made the container may wait for the end of a pipe that this process has no use for; and
    // nothing is to be had from it but what the program gets.
    let preserved = context.plan.finish.process.preserve_fds;
    sys::fds::close_all_but(3 + preserved, context.accept.as_fd()).context(|| "close_range")?;
    // So the owner may look at it: `exec` joins its namespaces, which takes that much (setns(2)).
    sys::process::set_dumpable(true).context(|| "prctl(PR_SET_DUMPABLE)")?;
    // The log is closed as well, and its number may become another's.
    let silent = tracing::subscriber::NoSubscriber::default();
    tracing::subscriber::with_default(silent, || accept_and_execute(context, path, env, pid))
}

fn accept_and_execute(
    context: &ChildContext,
    path: &CString,
    env: &[CString],
    pid: i32,
) -> Result<Infallible> {
    let connection = loop {
        match nix::sys::socket::accept4(context.accept.as_raw_fd(), nix::sys::socket::SockFlag::SOCK_CLOEXEC)
        {
            Err(Errno::EINTR | Errno::ECONNABORTED) => {}
            other => break sys::fds::adopt(other.context(|| "accept on the notify socket")?),
        }
    };
    let error = execute(context, path, env, pid);
    // `start` reads until the end of the connection, which a successful execve brings about.
    if let Ok(text) = serde_json::to_vec(&error) {
        let _ = nix::unistd::write(&connection, &text);
    }
    sys::exec::exit_now(1)
}

/// The last step; returns only on failure.
fn execute(context: &ChildContext, path: &CString, env: &[CString], pid: i32) -> Error {
    let plan = &context.plan;
    let finish = &plan.finish;
    if !finish.start_hooks.is_empty() {
        let state = hooks::HookState::new(plan, Status::Created, pid);
        let setting = hooks::Setting { default_env: Some(env), ..hooks::Setting::default() };
        if let Err(error) = hooks::run("startContainer", &finish.start_hooks, &state, setting) {
            return error;
        }
    }
    process::execute(&finish.process, path, env)
}
