//! The stages of a launch.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use rootling_init::attributes::{raise_rlimits, set_oom_score};
use rootling_init::channel::{Channel, FromChild, ToChild, Warn};
use rootling_init::hooks::{self, HookState, Setting};
use rootling_init::host::ChildEnd;
use rootling_rootless::host::Host;
use rootling_sys as sys;
use rootling_sys::signals::Signals;

use super::clone::{FIRST, clone_child};
use super::made::Made;
use super::reactor::{Event, Reactor, interrupted};
use super::{cgroup, devices, maps, nodes, sockets, sources, terminal};
use crate::cgroup_mount;
use crate::error::{Context, Error, Operation, Result, of_cgroup};
use crate::foreground;
use crate::owners::Owners;
use crate::plan::{CreateOptions, Plan};
use crate::process::ProcessRef;
use crate::rdt::Groups;
use crate::state::{Record, Status};
use crate::store::Slot;
use crate::streams;

/// How a container is launched.
#[derive(Clone, Copy)]
pub(crate) struct LaunchMode {
    /// The caller does not stay with the container.
    pub(crate) detached: bool,
    /// The container waits for its start.
    pub(crate) waits: bool,
}

/// A container whose child is getting ready.
struct Begun {
    made: Made,
    plan: Plan,
    reactor: Reactor,
    terminal: Option<OwnedFd>,
    mode: LaunchMode,
}

/// A container whose first process is ready to execute the program.
pub(crate) struct Ready(Begun);

/// A container that is complete.
pub(crate) struct Launched {
    pub(crate) slot: Slot,
    pub(crate) record: Record,
    pub(crate) pidfd: OwnedFd,
    pub(crate) signals: Signals,
    /// The master of the container's terminal, if the container has one and runs in the foreground.
    pub(crate) terminal: Option<OwnedFd>,
}

/// Makes everything up to and including a first process that is ready to execute the program.
pub(crate) fn launch(
    host: &Host,
    mut plan: Plan,
    slot: Slot,
    options: &CreateOptions,
    mode: LaunchMode,
    signals: Signals,
    warn: Warn<'_>,
) -> Result<Ready> {
    let about_root = plan.about_root.take();
    let owners = Owners::of(&plan.blueprint.rootfs, plan.blueprint.maps.as_ref());
    let failed = |error: Error| {
        let error = error.during(Operation::Launch);
        owners.iter().fold(error, |error, owners| owners.explain(error, host))
    };
    let begun = begin(host, plan, slot, options, mode, signals, warn).map_err(failed)?;
    let mut begun = begun.serve(warn).map_err(failed)?;
    about_root.into_iter().for_each(&mut *warn);
    let pid = begun.reactor.process().pid;
    let blueprint = &begun.plan.blueprint;
    if blueprint.namespaces.user.is_set() && !blueprint.process.terminal {
        streams::give_pipes_to(blueprint.process.uid, pid);
    }
    begun.made.write_pid_file(options.pid_file.as_deref(), pid)?;
    if let Some(path) = &options.pidfd_socket {
        let socket = sockets::connect(path, "--pidfd-socket")?;
        sys::socket::send_fd(socket.as_fd(), b"pidfd", begun.reactor.process().pidfd.as_fd())
            .context(|| format!("--pidfd-socket {path:?}: sendmsg(SCM_RIGHTS)"))?;
    }
    Ok(Ready(begun))
}

fn begin(
    host: &Host,
    plan: Plan,
    slot: Slot,
    options: &CreateOptions,
    mode: LaunchMode,
    signals: Signals,
    warn: Warn<'_>,
) -> Result<Begun> {
    let mut making = Made::new(slot, &plan);
    let wants = plan.blueprint.process.terminal;
    let terminal = terminal::path(options.console_socket.as_deref(), wants, mode.detached)?;
    cgroup::make(&plan, options, &making.slot, &mut making.record)?;
    let cgroup_owner = cgroup_mount::owner(&plan);
    let (ours, child_end) = Channel::pair()?;
    let accept = if mode.waits { Some(making.slot.listen_for_start()?) } else { None };
    let into = making.record.cgroup.clone_into();
    let mut parent_fds = vec![making.slot.dir().as_raw_fd(), ours.as_raw_fd(), signals.as_fd().as_raw_fd()];
    parent_fds.extend(into.iter().map(AsRawFd::as_raw_fd));
    parent_fds.extend(terminal.ours.iter().map(AsRawFd::as_raw_fd));
    let hierarchies = cgroup_mount::shown(&plan, &making.record.cgroup);
    let end =
        ChildEnd { machine: host, channel: child_end, accept, console: terminal.child_end, hierarchies };
    let (reactor, inside) = clone_child(&plan, into.as_ref(), end, &parent_fds, ours, signals)?;
    let pid = reactor.process().pid;
    let pidfd = sys::fds::duplicate(reactor.process().pidfd.as_fd()).context(|| "dup of the pidfd")?;
    making.set_process(pid, pidfd);
    let mut begun = Begun { made: making, plan, reactor, terminal: terminal.ours, mode };
    if let Err(error) = begun.let_begin(inside, cgroup_owner, warn) {
        // If the child has failed or ended, that is the reason.
        let ended = error.is(Errno::EPIPE) || error.is(Errno::ECONNRESET);
        let why = || if ended { begun.reactor.early_end() } else { error };
        return Err(begun.reactor.childs_failure().unwrap_or_else(why));
    }
    // This happens while the child works. Until the child is let go, it ends with the runtime, so that a runtime that
    // is killed leaves nothing but the cgroup behind.
    begun.made.record.init = Some(ProcessRef::to_be_recorded(pid)?);
    begun.made.slot.write(&begun.made.record)?;
    begun.made.slot.write_process(&begun.plan.stored, begun.plan.blueprint.process.seccomp.as_ref())?;
    begun.made.slot.prepare_recovery(&begun.made.record)?;
    Ok(begun)
}

/// The warning for a container that has neither a cgroup nor a pid namespace of its own.
const NO_WAY_TO_FIND_ALL: &str = "neither a cgroup nor a pid namespace holds the processes of this container together. \
     Such configuration is strongly discouraged: kill and delete reach only its first process; add \
     {\"type\": \"pid\"} to linux.namespaces";

impl Begun {
    /// Gives the child what only the runtime can give, and lets it begin.
    fn let_begin(&mut self, inside: bool, cgroup_owner: Option<u32>, warn: Warn<'_>) -> Result<()> {
        let pid = self.reactor.process().pid;
        if !rootling_init::host::join::makes_user_namespace(&self.plan.blueprint.namespaces) {
            maps::write(&self.plan, &self.reactor)?;
        }
        self.enter_cgroup(pid, inside, cgroup_owner, warn)?;
        if let Some(wanted) = &self.plan.rdt {
            self.made.record.rdt = Groups::set_up(wanted, self.plan.id().as_str(), pid)?;
        }
        let blueprint = &self.plan.blueprint;
        // The affinity of the calling process must not restrict the container's; its cpuset still applies.
        sys::scheduling::allow_all_cpus(pid);
        raise_rlimits(pid, &blueprint.process.rlimits)?;
        if let Some(score) = blueprint.process.oom_score_adj.filter(|_| !blueprint.is_seen_by_others()) {
            set_oom_score(&pid.to_string(), score)?.into_iter().for_each(&mut *warn);
        }
        self.reactor.send(&ToChild::Begin(pid))
    }

    /// Puts the child into its cgroup, unless it was cloned into it, and sets the limits.
    fn enter_cgroup(&mut self, pid: i32, inside: bool, owner: Option<u32>, warn: Warn<'_>) -> Result<()> {
        let record = &mut self.made.record;
        if record.cgroup.is_none() {
            if self.plan.blueprint.rootless && !self.plan.blueprint.namespaces.pid.is_new() {
                warn(NO_WAY_TO_FIND_ALL.into());
            }
            return Ok(());
        }
        if !inside {
            // Recorded before it exists, as in [`cgroup::make`].
            if record.cgroup.locate().map_err(of_cgroup)? {
                self.made.slot.write(record)?;
            }
            record.cgroup.attach(pid).map_err(of_cgroup)?;
        }
        let Plan { limits, device_rules, .. } = &self.plan;
        record.cgroup.apply(limits, device_rules).map_err(of_cgroup)?.into_iter().for_each(warn);
        if let Some(uid) = owner {
            record.cgroup.delegate_to(uid).map_err(of_cgroup)?;
        }
        self.reactor.set_cgroup(record.cgroup.clone());
        Ok(())
    }

    /// Serves the child until it is ready.
    fn serve(mut self, warn: Warn<'_>) -> Result<Self> {
        loop {
            match self.reactor.next()? {
                Event::Report(FromChild::Ready, _) => {
                    self.reactor.set_who(FIRST);
                    return Ok(self);
                }
                Event::Report(message, fd) => self.handle(message, fd, warn)?,
                Event::ChildGone => return Err(self.reactor.early_end()),
                Event::Signal(signal) => return Err(interrupted(signal, FIRST)),
            }
        }
    }

    /// Handles the reports that the child may send at any time.
    fn handle(&mut self, message: FromChild, fd: Option<OwnedFd>, warn: Warn<'_>) -> Result<()> {
        let pid = self.reactor.process().pid;
        match message {
            FromChild::Failed(error) => Err(error),
            FromChild::Warning(text) => {
                warn(text);
                Ok(())
            }
            FromChild::Debug(text) => {
                tracing::debug!("{text}");
                Ok(())
            }
            FromChild::SeccompListener => self.pass_listener(fd),
            FromChild::NeedsSource(index) => match sources::open(&self.plan.blueprint, index, pid) {
                Ok(tree) => self.reactor.send_with(&ToChild::Source, tree.as_fd()),
                Err(error) => self.reactor.send(&ToChild::NoSource(error)),
            },
            FromChild::NeedsNode(index) => match nodes::make(&self.plan.blueprint, index, pid) {
                Ok(node) => self.reactor.send_with(&ToChild::Source, node.as_fd()),
                Err(error) => self.reactor.send(&ToChild::NoSource(error)),
            },
            FromChild::NeedsMap(index) => {
                let mapped = fd
                    .ok_or_else(|| Error::system("no mount to map"))
                    .and_then(|tree| sources::map(&self.plan.blueprint, index, pid, &tree));
                self.reactor.send(&mapped.map_or_else(ToChild::NoSource, |()| ToChild::Mapped))
            }
            FromChild::NeedsDevices => {
                self.reactor.send(&ToChild::Devices(devices::move_into(&self.plan, pid)?))
            }
            FromChild::AtHooks => {
                self.run_hooks()?;
                if !self.plan.blueprint.create_hooks.is_empty() {
                    self.reactor.set_who("the process that runs the createContainer hooks");
                }
                self.reactor.send(&ToChild::RunHooks)
            }
            FromChild::Ready | FromChild::Waiting | FromChild::Cloned(_) | FromChild::NeedsMaps => Ok(()),
        }
    }

    fn run_hooks(&self) -> Result<()> {
        let identity = &self.plan.blueprint.identity;
        let state = HookState::new(identity, Status::Creating.name(), self.reactor.process().pid);
        let setting = Setting {
            signals: Some(self.reactor.signals()),
            // As with runc, whose working directory is the bundle.
            dir: Some(identity.bundle.as_path()),
            process: Some(self.reactor.process().pidfd.as_fd()),
            ..Setting::default()
        };
        for (kind, list) in self.plan.runtime_hooks() {
            hooks::run(kind, list, &state, setting)?;
        }
        Ok(())
    }

    fn pass_listener(&self, fd: Option<OwnedFd>) -> Result<()> {
        if let (Some(listener), Some(fd)) = (&self.plan.listener, fd) {
            let pid = self.reactor.process().pid;
            sockets::send_listener(&self.made.record, Status::Creating, listener, pid, fd.as_fd())?;
        }
        self.reactor.send(&ToChild::ListenerSent)
    }
}

impl Ready {
    /// The state directory.
    pub(crate) fn slot(&self) -> &Slot {
        &self.0.made.slot
    }

    /// Makes the container independent of this launch: the container waits for its start, or executes its program at
    /// once.
    pub(crate) fn commit(self, warn: Warn<'_>) -> Result<Launched> {
        let Self(mut begun) = self;
        let start = !begun.mode.waits;
        let terminal = match begun.terminal.take() {
            // The terminal gets its size before the program starts, which may ask for it at once.
            Some(socket) if start => Some(foreground::receive_terminal(&socket)?),
            other => other,
        };
        begun.reactor.check_signals()?;
        begun.made.slot.commit_recovery()?;
        if begun.reactor.send(&ToChild::Commit).is_err() {
            return Err(begun.reactor.childs_failure().unwrap_or_else(|| begun.reactor.early_end()));
        }
        // The end of the channel shows that the program runs; a container that is to wait reports that it does first.
        let mut complete = start;
        loop {
            match begun.reactor.next()? {
                Event::ChildGone if complete && begun.reactor.has_been_read() => break,
                Event::ChildGone => return Err(begun.reactor.early_end()),
                Event::Report(FromChild::Waiting, _) => complete = true,
                Event::Report(FromChild::Failed(error), _) => {
                    // What the program or the child has written is on the terminal.
                    terminal.iter().for_each(foreground::show);
                    return Err(error);
                }
                Event::Report(message, fd) => begun.handle(message, fd, warn)?,
                Event::Signal(signal) => return Err(interrupted(signal, FIRST)),
            }
        }
        let Begun { made, reactor, .. } = begun;
        let (process, signals) = reactor.into_parts();
        let (slot, record) = made.keep()?;
        Ok(Launched { slot, record, pidfd: process.pidfd, signals, terminal })
    }
}
