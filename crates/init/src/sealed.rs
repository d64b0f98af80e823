//! Room 4, Sealed: the filter is loaded. What is left is execve(2), and one message if that fails.
//!
//! What is called from the filter on is listed in docs/security.md. Each call there is one that a profile has to allow
//! for containers to start, so there are no others: all that can be done before is done before.

mod courier;

use std::convert::Infallible;
use std::os::fd::RawFd;

use nix::errno::Errno;
use rootling_sys as sys;

use crate::attributes::Attributes;
use crate::channel::Channel;
use crate::container::{Ready, for_start, identity};
use crate::error::{Context, Error, ErrorKind, Result};
use crate::hooks;
use courier::Courier;

/// Waits for the start, if it is to, and executes the program. Returns when that failed, and the failure is told.
pub(crate) fn run(ready: Ready<'_>, channel: Channel) {
    // Without a start there is nobody to listen any more.
    let Ok((report, ready)) = for_start(ready, channel) else { return };
    match Sealed::new(ready, &report).and_then(Sealed::execute) {
        Ok(never) => match never {},
        Err(error) => report.send_failure(error),
    }
}

/// The arguments of execve(2), and what must come between the filter and it.
struct Sealed<'a> {
    attributes: &'a Attributes,
    program: sys::exec::Program,
    ready: Ready<'a>,
    /// Hands the seccomp listener over.
    courier: Option<Courier>,
}

impl<'a> Sealed<'a> {
    /// Everything is made that needs a system call or memory.
    fn new(ready: Ready<'a>, report: &Channel) -> Result<Self> {
        let attributes = ready.attributes;
        for fd in 3..3 + attributes.preserve_fds as RawFd {
            let _ = sys::fds::keep_on_exec(fd);
        }
        let courier = match &attributes.seccomp {
            Some(filter) if filter.notify => Some(Courier::start(report)?),
            _ => None,
        };
        let program = sys::exec::Program::new(ready.path.clone(), attributes.args.clone(), ready.env.clone());
        if let Some(filter) = &attributes.seccomp {
            report.send_debug(&format!("seccomp filter flags: {}", flags(filter.flags, filter.notify)));
        }
        Ok(Self { attributes, program, ready, courier })
    }

    /// Loads the filter and executes the program.
    fn execute(self) -> Result<Infallible> {
        if let Some(filter) = &self.attributes.seccomp {
            let flags = flags(filter.flags, filter.notify);
            let listener = sys::seccomp::load(&filter.bpf, flags)
                .context(|| format!("linux.seccomp: seccomp(SECCOMP_SET_MODE_FILTER, {flags:#x})"))?;
            if let Some(courier) = &self.courier {
                courier.hand_over(listener)?;
            }
        }
        if self.attributes.waits_for_filter() {
            // Without no_new_privs the loading was privileged (seccomp(2)): the privilege goes now.
            identity::set_capabilities(self.attributes)?;
        }
        if let (false, Some((container, pid))) = (self.ready.hooks.is_empty(), self.ready.identity) {
            if self.courier.is_some() {
                // The ends of hooks are waited for again.
                sys::process::default_sigchld();
            }
            let state = hooks::HookState::new(container, "created", pid);
            let setting = hooks::Setting { default_env: Some(&self.ready.env), ..hooks::Setting::default() };
            hooks::run("startContainer", self.ready.hooks, &state, setting)?;
        }
        let errno = self.program.execute();
        Err(not_executed(&self.program, errno))
    }
}

/// linux/seccomp.h: SECCOMP_FILTER_FLAG_NEW_LISTENER
fn flags(wanted: u32, notify: bool) -> u32 {
    wanted | if notify { 1 << 3 } else { 0 }
}

fn not_executed(program: &sys::exec::Program, errno: Errno) -> Error {
    let kind = match errno {
        Errno::ENOENT | Errno::ENOTDIR => ErrorKind::ProgramNotFound,
        Errno::EACCES | Errno::ENOEXEC | Errno::EPERM => ErrorKind::ProgramNotExecutable,
        _ => ErrorKind::System,
    };
    let hint = match errno {
        Errno::ENOENT => {
            "; it is there, so the interpreter or the dynamic loader that it names is missing in the image"
        }
        Errno::ENOEXEC => "; it is neither a program for this machine nor a script that begins with #!",
        _ => "",
    };
    let said =
        format!("exec {}: {}", program.path().to_string_lossy().escape_debug(), errno.desc().to_lowercase());
    say(&format!("{said}\n"));
    Error::new(kind, format!("process.args: {said} ({errno:?}){hint}")).said_by_container()
}

/// On the container's standard error, where engines look for why a program did not run: whoever started
/// it may not hear of it any more.
fn say(line: &str) {
    let _ = nix::unistd::write(std::io::stderr(), line.as_bytes());
}
