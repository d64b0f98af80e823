//! Room 4, Sealed: the filter is loaded. What is left is execve(2), and one message if that fails; a created container
//! first waits for its start.
//!
//! The calls that are made after the filter is loaded are listed in docs/security.md. A profile has to allow each of
//! them for containers to start, so there are no others: everything that can be done earlier is done earlier.

mod courier;

use std::convert::Infallible;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::prctl;
use rootling_sys as sys;

use crate::attributes::Attributes;
use crate::channel::{Channel, FromChild};
use crate::container::{Obstacle, Ready, identity};
use crate::doors::{self, Held};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::hooks;
use courier::{AtTheEnd, Courier};

/// Loads the filter, waits for the start if required, and executes the program. Returns only if that has failed, after
/// the failure was reported.
pub(crate) fn run(mut ready: Ready<'_>, channel: Channel) {
    if let Some(accept) = ready.accept.take() {
        return wait_and_run(ready, channel, &accept);
    }
    let sealed = Sealed::new(ready, &channel);
    let execute = || {
        let courier =
            if sealed.notifies() { Some(Courier::start(&channel, AtTheEnd::LeaveChannel)?) } else { None };
        let listener = sealed.load()?;
        courier.map_or(Ok(()), |courier| courier.hand_over(listener))?;
        sealed.give_up_privileges()?;
        sealed.execute()
    };
    let Err(error) = execute();
    tell(&channel, error);
}

/// Whoever started the container reports the failure; if nobody does any more, engines look at the container's standard
/// error next.
fn tell(starter: &Channel, error: Error) {
    let line = format!("{error}\n");
    if starter.send(&FromChild::Failed(error)).is_err() {
        let _ = nix::unistd::write(std::io::stderr(), line.as_bytes());
    }
}

/// Runs a created container, which has its filter and its final capabilities before it waits. Another process of the
/// container, or of a pid namespace that it shares, may trace the waiting process; it must not gain anything by that.
fn wait_and_run(ready: Ready<'_>, channel: Channel, accept: &OwnedFd) {
    match wait(ready, channel, accept) {
        Ok((sealed, connection)) => {
            let Err(error) = sealed.execute();
            tell(&connection, error);
        }
        Err(Some((channel, error))) => channel.send_failure(error),
        // The courier has reported the reason, or nobody is left to start the container.
        Err(None) => {}
    }
}

/// What is ready to be executed, and the channel on which a failure of execve(2) is reported.
type Started<'a> = (Sealed<'a>, Channel);

fn wait<'a>(
    ready: Ready<'a>,
    channel: Channel,
    accept: &OwnedFd,
) -> Result<Started<'a>, Option<(Channel, Error)>> {
    if let Err(error) = prepare_wait(&ready, &channel, accept) {
        return Err(Some((channel, error)));
    }
    let sealed = Sealed::new(ready, &channel);
    if sealed.attributes.seccomp.is_some() {
        let courier = match Courier::start(&channel, AtTheEnd::CloseChannel) {
            Ok(courier) => courier,
            Err(error) => return Err(Some((channel, error))),
        };
        // Closing the channel tells the runtime that the wait has begun. The courier does it, since the filter may deny
        // it here.
        channel.leave_open();
        match sealed.load().and_then(|listener| sealed.give_up_privileges().map(|()| listener)) {
            Ok(listener) => courier.tell(listener),
            Err(error) => {
                courier.fail(&error);
                return Err(None);
            }
        }
    } else {
        // The process at the other end may have ended.
        let _ = channel.send(&FromChild::Waiting);
        drop(channel);
    }
    let connection = sys::socket::accept_anyhow(accept.as_fd()).map_err(|_| None)?;
    Ok((sealed, Channel::of(connection)))
}

/// The door to the wait: whoever made the container may be waiting for the end of a pipe that this process does not
/// need.
fn prepare_wait(ready: &Ready<'_>, channel: &Channel, accept: &OwnedFd) -> Result<()> {
    doors::close_others(&Waiting { channel, accept }, ready.attributes.preserve_fds)?;
    if !ready.watched {
        // This lets the owner look at the process: `exec` joins its namespaces, which requires that (setns(2)).
        prctl::set_dumpable(true).context(|| "prctl(PR_SET_DUMPABLE)")?;
    }
    Ok(())
}

/// What a created container holds while it waits: the socket that `start` connects to, and the channel until the wait
/// has begun.
struct Waiting<'a> {
    channel: &'a Channel,
    accept: &'a OwnedFd,
}

impl Held for Waiting<'_> {
    fn held(&self) -> Vec<RawFd> {
        vec![self.channel.as_raw_fd(), self.accept.as_raw_fd()]
    }
}

/// The arguments of execve(2), and what must happen between loading the filter and execve(2).
struct Sealed<'a> {
    attributes: &'a Attributes,
    program: sys::exec::Program,
    ready: Ready<'a>,
}

impl<'a> Sealed<'a> {
    /// Prepares everything that needs a system call or memory.
    fn new(ready: Ready<'a>, report: &Channel) -> Self {
        let attributes = ready.attributes;
        for fd in (3..3 + attributes.preserve_fds as RawFd).filter(|fd| !sys::fds::is_reserved(*fd)) {
            let _ = sys::fds::keep_on_exec(fd);
        }
        let program = sys::exec::Program::new(ready.path.clone(), attributes.args.clone(), ready.env.clone());
        if let Some(filter) = &attributes.seccomp {
            report.send_debug(&format!("seccomp filter flags: {}", flags(filter.flags, filter.notify)));
        }
        Self { attributes, program, ready }
    }

    /// Whether an agent gets a listener.
    fn notifies(&self) -> bool {
        self.attributes.seccomp.as_ref().is_some_and(|filter| filter.notify)
    }

    /// Loads the filter; returns the descriptor number of its listener, if it has one.
    fn load(&self) -> Result<Option<RawFd>> {
        let Some(filter) = &self.attributes.seccomp else { return Ok(None) };
        let flags = flags(filter.flags, filter.notify);
        // The only other thread can be the courier, which has no filter.
        let listener = sys::seccomp::load(&filter.bpf, flags & !THREAD_SYNC)
            .context(|| format!("linux.seccomp: seccomp(SECCOMP_SET_MODE_FILTER, {flags:#x})"))?;
        Ok(filter.notify.then_some(listener))
    }

    /// Without no_new_privs, loading was privileged (seccomp(2)): the privilege is given up now.
    fn give_up_privileges(&self) -> Result<()> {
        if self.attributes.waits_for_filter() { identity::set_capabilities(self.attributes) } else { Ok(()) }
    }

    /// Executes the program.
    fn execute(&self) -> Result<Infallible> {
        if let (false, Some((container, pid))) = (self.ready.hooks.is_empty(), self.ready.identity) {
            let state = hooks::HookState::new(container, "created", pid);
            let setting = hooks::Setting {
                default_env: Some(&self.ready.env),
                dies_with_us: true,
                ..hooks::Setting::default()
            };
            hooks::run("startContainer", self.ready.hooks, &state, setting)?;
        }
        let errno = self.program.execute();
        Err(not_executed(&self.program, errno, self.ready.obstacle.as_ref()))
    }
}

/// linux/seccomp.h: SECCOMP_FILTER_FLAG_TSYNC
const THREAD_SYNC: u32 = 1;

/// linux/seccomp.h: SECCOMP_FILTER_FLAG_NEW_LISTENER
fn flags(wanted: u32, notify: bool) -> u32 {
    wanted | if notify { 1 << 3 } else { 0 }
}

/// The error for what execve(2) has returned, with the exit code of a shell: not found, or found and not executable.
fn not_executed(program: &sys::exec::Program, errno: Errno, obstacle: Option<&Obstacle>) -> Error {
    let kind = match errno {
        Errno::ENOENT | Errno::ENOTDIR => ErrorKind::ProgramNotFound,
        Errno::EACCES | Errno::ENOEXEC | Errno::EPERM | Errno::E2BIG | Errno::ETXTBSY | Errno::ELOOP => {
            ErrorKind::ProgramNotExecutable
        }
        _ => ErrorKind::System,
    };
    let reason = match (errno, obstacle) {
        (_, Some(obstacle)) if obstacle.errno == errno => obstacle.text.as_str(),
        (Errno::ENOENT, _) => {
            "it is there, so the interpreter or the dynamic loader that it names is missing in the root file system"
        }
        (Errno::ENOEXEC, _) => "it is neither a program for this machine nor a script that begins with #!",
        (Errno::E2BIG, _) => {
            "process.args and process.env are too long: one string may have 128 KiB, and all of them a quarter of \
             RLIMIT_STACK (execve(2)); pass a file instead"
        }
        (Errno::ETXTBSY, _) => "somebody has it open to write: close it there, or execute a copy",
        (Errno::EPERM, _) => {
            "a security module of the host, such as AppArmor or SELinux, or the seccomp profile has denied it"
        }
        (Errno::EACCES, _) => {
            "it may be executed by its mode, so a security module of the host, such as AppArmor or SELinux, has denied it"
        }
        _ => "",
    };
    let colon = if reason.is_empty() { "" } else { "; " };
    let path = program.path().to_string_lossy();
    let said = errno.desc().to_lowercase();
    Error::new(kind, format!("process.args: exec {}: {said} ({errno:?}){colon}{reason}", path.escape_debug()))
}
