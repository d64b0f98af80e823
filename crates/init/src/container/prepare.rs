//! Turns root of the user namespace into the program's user, with everything that the program is to have. This is the
//! same for the container's first process and for those of `exec`.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::{Mode, umask};
use rootling_sys as sys;

use super::ready::Ready;
use super::{identity, obstacle, program};
use crate::attributes::Attributes;
use crate::blueprint::Blueprint;
use crate::channel::Channel;
use crate::doors::{self, Held};
use crate::error::{Context, Error, Result};

/// The first process of a container, inside its root.
pub(crate) struct Container<'b, 'c> {
    pub(crate) blueprint: &'b Blueprint,
    /// The channel to the runtime.
    pub(crate) channel: &'c Channel,
    /// The socket on which a created container waits for its start.
    pub(crate) accept: Option<OwnedFd>,
}

impl Held for Container<'_, '_> {
    fn held(&self) -> Vec<RawFd> {
        let mut all = vec![self.channel.as_raw_fd()];
        all.extend(doors::numbers(&self.accept));
        all
    }
}

/// A process that has joined a container.
pub(crate) struct Joined<'a> {
    /// The channel to the runtime.
    pub(crate) channel: &'a Channel,
}

impl Held for Joined<'_> {
    fn held(&self) -> Vec<RawFd> {
        vec![self.channel.as_raw_fd()]
    }
}

impl<'b> Container<'b, '_> {
    /// Becomes the program's user and reports that everything is ready. `descriptors` is the limit of open descriptors
    /// that the caller has. Returns `None` if the runtime has ended.
    pub(crate) fn prepare(self, pid: i32, descriptors: Option<u64>) -> Result<Option<Ready<'b>>> {
        let blueprint = self.blueprint;
        let attributes = &blueprint.process;
        if let Some(soft) = descriptors
            && let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        {
            // Set before the limits that are asked for.
            let _ = setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard), hard);
        }
        let (path, env) = become_user(attributes, self.channel, self.accept.is_some())?;
        let ready = Ready {
            attributes,
            obstacle: obstacle::find(&path),
            path,
            env,
            hooks: &blueprint.start_hooks,
            identity: Some((&blueprint.identity, pid)),
            accept: self.accept,
            watched: blueprint.is_seen_by_others(),
        };
        self.channel.send_debug("init: closing the pipe to signal completion");
        ready.report(self.channel)
    }
}

impl Joined<'_> {
    /// Does the same for a process of `exec`.
    pub(crate) fn prepare<'a>(&self, attributes: &'a Attributes) -> Result<Option<Ready<'a>>> {
        let (path, env) = become_user(attributes, self.channel, false)?;
        // The steps have the names that runc logs, since engines and people search for them.
        self.channel.send_debug("setns_init: about to exec");
        let ready = Ready {
            attributes,
            obstacle: obstacle::find(&path),
            path,
            env,
            hooks: &[],
            identity: None,
            accept: None,
            watched: true,
        };
        ready.report(self.channel)
    }
}

/// Sets all attributes except the filter and those that have to wait for it. Returns the program and its environment.
fn become_user(attributes: &Attributes, channel: &Channel, waits: bool) -> Result<(CString, Vec<CString>)> {
    let mut env = attributes.env.clone();
    if attributes.home_missing {
        program::set_home(&mut env, attributes.uid)?;
    }
    set_attributes(attributes)?;
    // No process in a namespace that we have joined may get hold of our open descriptors (CVE-2016-9962).
    prctl::set_dumpable(false).context(|| "prctl(PR_SET_DUMPABLE)")?;
    set_rlimits(attributes)?;
    if waits {
        sys::process::end_on_signals();
    }
    // First with root's access, then again with the user's: either may be the one that is let in.
    let entered = program::enter_cwd(&attributes.cwd);
    identity::give_stdio_to(attributes.uid);
    identity::drop_bounding(attributes)?;
    identity::change_ids(attributes)?;
    identity::set_ambient(attributes, channel)?;
    if !attributes.waits_for_filter() {
        identity::set_capabilities(attributes)?;
    }
    if entered.is_err() {
        let refused = |(errno, what)| Error::from(errno).wrap(what).at(errno, &attributes.cwd);
        program::enter_cwd(&attributes.cwd).map_err(refused)?;
    }
    // The change of user may have made the process dumpable again: proc(5), /proc/sys/fs/suid_dumpable.
    prctl::set_dumpable(false).context(|| "prctl(PR_SET_DUMPABLE)")?;
    program::verify_cwd(&attributes.cwd)?;
    // A container without `process` has no program, and is never started.
    let path =
        if attributes.args.is_empty() { CString::default() } else { program::find(&attributes.args, &env)? };
    if attributes.no_new_privileges {
        prctl::set_no_new_privs().context(|| "prctl(PR_SET_NO_NEW_PRIVS)")?;
    }
    Ok((path, env))
}

/// Sets the attributes that survive execve(2).
fn set_attributes(process: &Attributes) -> Result<()> {
    process.scheduling.set()?;
    if let Some(name) = &process.keyring {
        identity::join_keyring(name, process.selinux_label.as_deref())?;
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

/// Sets the resource limits. This happens before the ids change: afterwards the kernel would not let the runtime set
/// them without CAP_SYS_RESOURCE.
fn set_rlimits(process: &Attributes) -> Result<()> {
    for (resource, soft, hard) in &process.rlimits {
        sys::process::set_rlimit(0, *resource, *soft, *hard)
            .context(|| format!("process.rlimits: prlimit(resource {resource}, soft {soft}, hard {hard})"))?;
    }
    Ok(())
}
