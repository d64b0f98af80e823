//! The process between the runtime and the container. It joins the namespaces, so that the runtime never leaves its
//! own, and clones the process that becomes the program.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::prctl;
use nix::sys::stat::Mode;
use rootling_sys as sys;
use rootling_sys::clone::{CloneOptions, Cloned, EndOnPanic};
use rootling_sys::scheduling::OneCpu;

use super::namespaces::Namespaces;
use crate::attributes::{Attributes, raise_rlimits, set_oom_score};
use crate::building::{DevConsole, set_up_console};
use crate::channel::{Channel, FromChild, ToChild};
use crate::container::{Joined, Ready, set_apparmor_profile};
use crate::doors::{self, Held};
use crate::error::{Context, Error, Result, no_process};
use crate::log;
use crate::ordinary::{begin, die_with_runtime};
use crate::sealed;

/// What the child of `exec` has.
pub struct Joiner {
    /// The namespaces to join.
    pub namespaces: Namespaces,
    /// The socket that gets the terminal, if there is one.
    pub console: Option<OwnedFd>,
    /// Whether it must not enter the container before it is in the container's cgroup.
    pub waits: bool,
}

/// What it holds on the host's side of the door.
struct Outside<'a> {
    joiner: &'a Joiner,
    channel: &'a Channel,
}

impl Held for Outside<'_> {
    fn held(&self) -> Vec<RawFd> {
        let mut all = self.joiner.namespaces.held();
        all.push(self.channel.as_raw_fd());
        all.extend(doors::numbers(&self.joiner.console));
        all
    }
}

/// What it holds on the container's side of the door.
struct Inside<'a> {
    channel: &'a Channel,
    console: Option<&'a OwnedFd>,
}

impl Held for Inside<'_> {
    fn held(&self) -> Vec<RawFd> {
        let mut all = vec![self.channel.as_raw_fd()];
        all.extend(doors::numbers(self.console));
        all
    }
}

/// Joins the container and becomes the program, or reports why not and exits. This is only for the child of a clone: it
/// never returns, and closes all other descriptors. `apparmor` is the profile, if there is one.
pub fn run(channel: Channel, joiner: &Joiner, attributes: &Attributes, apparmor: Option<&str>) -> ! {
    log::without(channel.as_raw_fd(), || match become_program(&channel, joiner, attributes, apparmor) {
        Ok(Some(ready)) => sealed::run(ready, channel),
        Ok(None) => {}
        Err(error) => channel.send_failure(error),
    });
    sys::exec::exit_now(1)
}

/// Joins the container for a runtime whose memory this process has (`rootling_sys::vfork`), and clones the process that becomes the
/// program; returns the pid of it. Everything is only borrowed, since what is dropped here would be dropped a
/// second time by the runtime. The process that is cloned has memory of its own: it takes the channel, and does not return. `cpu` is
/// what keeps the runtime on one, and not that process.
pub fn join_for_runtime(
    channel: &mut Option<Channel>,
    joiner: &Joiner,
    attributes: &Attributes,
    apparmor: Option<&str>,
    cpu: Option<&OneCpu>,
) -> Result<i32> {
    let Some(ours) = channel.as_ref() else { return Err(Error::system("no channel")) };
    doors::close_others(&Outside { joiner, channel: ours }, attributes.preserve_fds)?;
    die_with_runtime()?;
    prepare(ours, attributes)?;
    join(ours, joiner, attributes.preserve_fds)?;
    match clone()? {
        Cloned::Parent { pid, .. } => return Ok(pid),
        Cloned::Child => {}
    }
    // From here on, all memory is this process's own.
    let _end = EndOnPanic;
    if let Some(cpu) = cpu {
        cpu.release_clone();
    }
    if let Some(channel) = channel.take() {
        log::without(channel.as_raw_fd(), || {
            match begin().and_then(|()| inside(&channel, joiner, attributes, apparmor)) {
                Ok(Some(ready)) => sealed::run(ready, channel),
                Ok(None) => {}
                Err(error) => channel.send_failure(error),
            }
        });
    }
    sys::exec::exit_now(1)
}

/// Returns `None` if this process is done: the runtime has ended, or the process that was cloned carries on.
fn become_program<'a>(
    channel: &Channel,
    joiner: &Joiner,
    attributes: &'a Attributes,
    apparmor: Option<&str>,
) -> Result<Option<Ready<'a>>> {
    // This comes first: no container may get at the state directory, the cgroup or the log of the runtime.
    doors::close_others(&Outside { joiner, channel }, attributes.preserve_fds)?;
    if joiner.waits && !matches!(channel.receive()?, Some(ToChild::Placed)) {
        return Ok(None);
    }
    begin()?;
    prepare(channel, attributes)?;
    join(channel, joiner, attributes.preserve_fds)?;
    if joiner.namespaces.need_child() {
        match clone()? {
            Cloned::Parent { pid, .. } => {
                channel.send(&FromChild::Cloned(pid))?;
                sys::exec::exit_now(0)
            }
            Cloned::Child => die_with_runtime()?,
        }
    }
    inside(channel, joiner, attributes, apparmor)
}

/// Becomes ready in the container. Returns `None` if the runtime has ended.
fn inside<'a>(
    channel: &Channel,
    joiner: &Joiner,
    attributes: &'a Attributes,
    apparmor: Option<&str>,
) -> Result<Option<Ready<'a>>> {
    nix::unistd::setsid().context(|| "setsid")?;
    channel.send_debug("nsexec container setup: child process in init()");
    if let Some(socket) = &joiner.console {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = open("/", flags, Mode::empty()).map(sys::fds::adopt).context(|| "open(\"/\")")?;
        set_up_console(socket, &root, attributes, DevConsole::Leave)?;
    }
    if let Some(profile) = apparmor {
        set_apparmor_profile(profile)?;
    }
    let room = Joined { channel };
    doors::close_others(&room, attributes.preserve_fds)?;
    room.prepare(attributes)
}

/// Does what needs the caller's own privilege, or the host's /proc.
fn prepare(channel: &Channel, attributes: &Attributes) -> Result<()> {
    if let Some(score) = attributes.oom_score_adj
        && let Some(warning) = set_oom_score("self", score)?
    {
        channel.send(&FromChild::Warning(warning))?;
    }
    raise_rlimits(0, &attributes.rlimits)?;
    if channel.is_detailed()
        && let Ok(mask) = sys::scheduling::affinity()
    {
        let low = mask.first().copied().unwrap_or_default();
        channel.send_debug(&format!("nsexec container setup: affinity: {low:#x}"));
    }
    // Before any process of the container can see this one or its child (CVE-2016-9962).
    prctl::set_dumpable(false).context(|| "prctl(PR_SET_DUMPABLE)")
}

/// The door: what led in is closed on the other side, before there is a process that the container can see.
fn join(channel: &Channel, joiner: &Joiner, preserved: u32) -> Result<()> {
    joiner.namespaces.join()?;
    // The change of ids has reset both.
    prctl::set_dumpable(false).context(|| "prctl(PR_SET_DUMPABLE)")?;
    die_with_runtime()?;
    doors::close_others(&Inside { channel, console: joiner.console.as_ref() }, preserved)
}

/// Clones the process that becomes the program, as a sibling: the runtime waits for it.
fn clone() -> Result<Cloned> {
    let options = CloneOptions { sibling: true, ..CloneOptions::default() };
    sys::clone::clone(options).context(|| "clone3").map_err(|error| {
        if error.is(Errno::ENOMEM) {
            // pid_namespaces(7): the error of a pid namespace whose first process has ended.
            error.remedy("the container's first process has ended, or the kernel is out of memory")
        } else {
            no_process(error)
        }
    })
}
