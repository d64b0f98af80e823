//! After libcontainer: from a root file system with mounts to execve(2).
//!
//! The order matters for security, and each step says why it is where it is.

use std::convert::Infallible;
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};

use super::context::ChildContext;
use super::devices::{self, DeviceSource};
use super::{console, identity, mounts, paths, program};
use crate::error::{Context, Error, ErrorKind, Result};
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
    pid: i32,
) -> Result<Infallible> {
    let plan = &context.plan;
    let finish = &plan.finish;
    sys::memory::release_code();
    // First of all: whatever goes wrong from here on, no descriptor of the host's gets into the program.
    sys::fds::close_on_exec_from(3).context(|| "close_range")?;
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
        console::set_up(&socket, finish)?;
    }
    program::make_cwd(&finish.cwd)?;
    if plan.lowered.dev == (Dev::Fresh { readonly: true }) {
        paths::close("/dev")?;
    }
    mounts::set_propagation(&plan.lowered.mounts)?;
    seal(finish)?;
    let mut env = finish.env.clone();
    if finish.home_missing {
        program::set_home(&mut env, finish.uid);
    }
    attributes(finish)?;
    if !finish.seccomp.as_ref().is_some_and(|s| s.notify) {
        // Nobody in a namespace that we joined is to get hold of what we have open (CVE-2016-9962). The
        // agent's descriptor is fetched by the runtime, which could not either.
        sys::process::set_dumpable(false).context(|| "prctl(PR_SET_DUMPABLE)")?;
    }
    set_rlimits(finish)?;
    if context.waits {
        sys::process::end_on_signals();
    }
    become_user(finish, channel)?;
    program::verify_cwd(&finish.cwd)?;
    let path = program::find(&finish.args, &env)?;
    if finish.no_new_privileges {
        sys::process::set_no_new_privileges().context(|| "prctl(PR_SET_NO_NEW_PRIVS)")?;
        // As late as possible, so that the profile has to allow as few system calls of ours as possible.
        load_seccomp(finish, channel)?;
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

/// Before the ids change: where they do, the kernel does not let the runtime set them any more
/// without CAP_SYS_RESOURCE.
fn set_rlimits(finish: &Finish) -> Result<()> {
    for (resource, soft, hard) in &finish.rlimits {
        sys::process::set_rlimit(0, *resource, *soft, *hard)
            .context(|| format!("process.rlimits: prlimit(resource {resource}, soft {soft}, hard {hard})"))?;
    }
    Ok(())
}

/// Attributes of the process that survive execve(2).
fn attributes(finish: &Finish) -> Result<()> {
    if let Some(name) = &finish.keyring {
        identity::join_keyring(name)?;
    }
    if let Some(persona) = finish.personality {
        sys::process::set_personality(persona).context(|| "linux.personality: personality")?;
    }
    if let Some(label) = &finish.selinux_label {
        identity::set_selinux_label(label)?;
    }
    umask(Mode::from_bits_truncate(finish.umask));
    Ok(())
}

fn become_user(finish: &Finish, channel: &Channel) -> Result<()> {
    // With root's reach, then again with the user's: either may be the one that is let in.
    let entered = program::enter_cwd(&finish.cwd);
    identity::give_stdio_to(finish.uid);
    identity::drop_bounding(finish)?;
    identity::change_ids(finish)?;
    if !finish.no_new_privileges {
        // Without no_new_privs this is privileged (seccomp(2)), so it comes before the privilege goes.
        load_seccomp(finish, channel)?;
    }
    identity::set_capabilities(finish, channel)?;
    match entered {
        Err(_) => program::enter_cwd(&finish.cwd).map_err(|(errno, what)| Error::from(errno).wrap(what)),
        Ok(()) => Ok(()),
    }
}

fn load_seccomp(finish: &Finish, channel: &Channel) -> Result<()> {
    let Some(program) = &finish.seccomp else { return Ok(()) };
    // linux/seccomp.h: SECCOMP_FILTER_FLAG_NEW_LISTENER
    let flags = program.flags | if program.notify { 1 << 3 } else { 0 };
    tracing::debug!("seccomp filter flags: {flags}");
    let fd = sys::seccomp::load(&program.bpf, flags)
        .context(|| format!("linux.seccomp: seccomp(SECCOMP_SET_MODE_FILTER, {flags:#x})"))?;
    if program.notify {
        channel.send(&FromChild::SeccompListener(fd))?;
        match channel.receive()? {
            Some(ToChild::ListenerSent) => {}
            _ => sys::exec::exit_now(1),
        }
        let _ = nix::unistd::close(fd);
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
    for fd in &context.inherited {
        // Whoever made the container may wait for the end of a pipe that this process has no use for.
        let _ = nix::unistd::close(*fd);
    }
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
    for fd in 3..3 + finish.preserve_fds {
        let _ = sys::fds::keep_on_exec(fd as i32);
    }
    let errno = sys::exec::execve(path, &finish.args, env);
    let kind = match errno {
        Errno::ENOENT | Errno::ENOTDIR => ErrorKind::ProgramNotFound,
        Errno::EACCES | Errno::ENOEXEC | Errno::EPERM => ErrorKind::ProgramNotExecutable,
        _ => ErrorKind::System,
    };
    say(&format!("exec {}: {}\n", path.to_string_lossy(), errno.desc().to_lowercase()));
    let hint = match errno {
        Errno::ENOENT => {
            "; it is there, so the interpreter or the dynamic loader that it names is missing in the image"
        }
        Errno::ENOEXEC => "; it is neither a program for this machine nor a script that begins with #!",
        _ => "",
    };
    Error::new(kind, format!("process.args: exec {path:?}: {errno}{hint}")).said_by_container()
}

/// On the container's standard error, where engines look for why a program did not run: whoever started
/// it may not hear of it any more.
fn say(line: &str) {
    let _ = nix::unistd::write(std::io::stderr(), line.as_bytes());
}
