//! The steps from a copy of the runtime to the program, in the order that is safe: the same for the
//! container's first process and for those of `exec`.

use std::ffi::CString;

use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};

use super::{identity, program};
use crate::attributes::Attributes;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::report::{Channel, FromChild, ToChild};
use crate::sys;

/// Attributes of the process that survive execve(2).
pub(crate) fn set_attributes(process: &Attributes) -> Result<()> {
    process.scheduling.set()?;
    if let Some(name) = &process.keyring {
        identity::join_keyring(name)?;
    }
    if let Some(persona) = process.personality {
        sys::process::set_personality(persona).context(|| "linux.personality: personality")?;
    }
    if let Some(label) = &process.selinux_label {
        identity::set_selinux_label(label)?;
    }
    umask(Mode::from_bits_truncate(process.umask));
    Ok(())
}

/// Before the ids change: where they do, the kernel does not let the runtime set them any more
/// without CAP_SYS_RESOURCE.
pub(crate) fn set_rlimits(process: &Attributes) -> Result<()> {
    for (resource, soft, hard) in &process.rlimits {
        sys::process::set_rlimit(0, *resource, *soft, *hard)
            .context(|| format!("process.rlimits: prlimit(resource {resource}, soft {soft}, hard {hard})"))?;
    }
    Ok(())
}

/// From root of the user namespace to the program's user, with its capabilities.
pub(crate) fn become_user(process: &Attributes, channel: &Channel) -> Result<()> {
    // With root's reach, then again with the user's: either may be the one that is let in.
    let entered = program::enter_cwd(&process.cwd);
    identity::give_stdio_to(process.uid);
    identity::drop_bounding(process)?;
    identity::change_ids(process)?;
    if !process.no_new_privileges {
        // Without no_new_privs this is privileged (seccomp(2)), so it comes before the privilege goes.
        load_seccomp(process, channel)?;
    }
    identity::set_capabilities(process, channel)?;
    match entered {
        Err(_) => program::enter_cwd(&process.cwd).map_err(|(errno, what)| Error::from(errno).wrap(what)),
        Ok(()) => Ok(()),
    }
}

/// `process.noNewPrivileges`, and with it the seccomp filter: as late as possible, so that the profile has
/// to allow as few system calls of ours as possible.
pub(crate) fn give_up_privileges(process: &Attributes, channel: &Channel) -> Result<()> {
    if !process.no_new_privileges {
        return Ok(());
    }
    sys::process::set_no_new_privileges().context(|| "prctl(PR_SET_NO_NEW_PRIVS)")?;
    load_seccomp(process, channel)
}

fn load_seccomp(process: &Attributes, channel: &Channel) -> Result<()> {
    let Some(program) = &process.seccomp else { return Ok(()) };
    if program.notify {
        // For as long as the runtime fetches the agent's descriptor, which it otherwise could not: from
        // here on all that is open beside it is the program's, or of no use to anybody.
        sys::process::set_dumpable(true).context(|| "prctl(PR_SET_DUMPABLE)")?;
    }
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

/// The last step; returns only on failure.
pub(crate) fn execute(process: &Attributes, path: &CString, env: &[CString]) -> Error {
    for fd in 3..3 + process.preserve_fds {
        let _ = sys::fds::keep_on_exec(fd as i32);
    }
    let errno = sys::exec::execve(path, &process.args, env);
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
    let said = format!("exec {}: {}", path.to_string_lossy().escape_debug(), errno.desc().to_lowercase());
    say(&format!("{said}\n"));
    Error::new(kind, format!("process.args: {said} ({errno:?}){hint}")).said_by_container()
}

/// On the container's standard error, where engines look for why a program did not run: whoever started
/// it may not hear of it any more.
fn say(line: &str) {
    let _ = nix::unistd::write(std::io::stderr(), line.as_bytes());
}
