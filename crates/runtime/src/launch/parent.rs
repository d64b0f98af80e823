//! The runtime's side of the launch.

use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

use libcontainer::network::cidr::CidrAddress;
use libcontainer::network::network_device::dev_change_net_namespace;
use libcontainer::notify_socket::NotifyListener;
use libcontainer::process::channel::{InitSender, MainReceiver, init_channel, main_channel};
use oci_spec::runtime::LinuxResources;
use rootling_cgroup::Cgroup;

use super::clone::{Init, clone_init};
use super::events::{self, Event};
use super::{Signals, cgroup, join, maps, outer, sockets, sources, terminal};
use crate::child::ChildContext;
use crate::error::{Context, Error, Result, chain};
use crate::hooks::{self, HookState, Setting};
use crate::lifecycle::Warn;
use crate::plan::{CreateOptions, Plan};
use crate::process::ProcessRef;
use crate::rdt::Groups;
use crate::report::{Channel, FromChild, ToChild};
use crate::state::{Record, Status};
use crate::store::{NOTIFY, Slot};
use crate::sys;
use crate::sys::fds::opened_by;

/// A container that is being made. Dropped before [`Launch::commit`], it undoes all that was made.
pub(crate) struct Launch {
    plan: Rc<Plan>,
    slot: Slot,
    record: Record,
    init: Option<Init>,
    channel: Option<Channel>,
    pid_file: Option<PathBuf>,
    signals: Option<Signals>,
    terminal: Option<OwnedFd>,
    committed: bool,
    /// Whether it is to wait for its start.
    waits: bool,
    /// The user outside who gets the cgroup.
    cgroup_owner: Option<u32>,
    /// Closed when the program runs.
    close_later: Vec<OwnedFd>,
}

/// A container that is complete.
pub(crate) struct Launched {
    pub(crate) slot: Slot,
    pub(crate) record: Record,
    pub(crate) pidfd: OwnedFd,
    pub(crate) signals: Signals,
    /// The master of the container's terminal, when it runs in the foreground with one.
    pub(crate) terminal: Option<OwnedFd>,
}

/// How a container is launched.
#[derive(Clone, Copy)]
pub(crate) struct How {
    /// Nobody stays with it.
    pub(crate) detached: bool,
    /// It waits for its start.
    pub(crate) waits: bool,
}

/// libcontainer's own channel, which it uses around hooks.
struct HookChannel {
    receiver: MainReceiver,
    readable: OwnedFd,
    sender: InitSender,
}

impl Launch {
    /// Makes everything up to a first process that is ready to execute the program.
    pub(crate) fn new(
        plan: Plan,
        slot: Slot,
        options: &CreateOptions,
        how: How,
        signals: Signals,
        warn: Warn<'_>,
    ) -> Result<Self> {
        let record = new_record(&plan);
        let mut launch = Self {
            plan: Rc::new(plan),
            slot,
            record,
            init: None,
            channel: None,
            pid_file: None,
            signals: Some(signals),
            terminal: None,
            committed: false,
            waits: how.waits,
            cgroup_owner: None,
            close_later: Vec::new(),
        };
        let hooks = launch.clone_and_begin(options, how.detached, warn).map_err(outer::explain)?;
        launch.serve(hooks, warn).map_err(outer::explain)?;
        if let Some(path) = &options.pid_file {
            write_pid_file(path, launch.init_pid())?;
            launch.pid_file = Some(path.clone());
        }
        if let (Some(path), Some(init)) = (&options.pidfd_socket, &launch.init) {
            let socket = sockets::connect(path, "--pidfd-socket")?;
            sockets::send_fd(socket.as_fd(), b"pidfd", init.pidfd.as_fd())?;
        }
        Ok(launch)
    }

    fn init_pid(&self) -> i32 {
        self.init.as_ref().map_or(0, |i| i.pid)
    }

    fn clone_and_begin(
        &mut self,
        options: &CreateOptions,
        detached: bool,
        warn: Warn<'_>,
    ) -> Result<Option<HookChannel>> {
        let path = options.console_socket.as_deref();
        let terminal = terminal::path(path, self.plan.finish.process.terminal, detached)?;
        self.terminal = terminal.ours;
        self.make_cgroup(options)?;
        let (ours, childs) = Channel::pair()?;
        let path = self.slot.path().join(NOTIFY);
        let near = ours.as_fd();
        let (listener, [accept]) =
            opened_by(near, || NotifyListener::new(&path).map_err(|e| Error::system(chain(&e))))?;
        let ((main_sender, receiver), [_, readable]) =
            opened_by(near, || main_channel().map_err(|e| Error::system(chain(&e))))?;
        let (sender, init_receiver) = init_channel().map_err(|e| Error::system(chain(&e)))?;
        let cgroup = self.record.cgroup.clone_into();
        let context = Rc::new(ChildContext {
            plan: Rc::clone(&self.plan),
            channel: RefCell::new(Some(childs)),
            main_sender: RefCell::new(main_sender),
            init_receiver: RefCell::new(init_receiver),
            listener: RefCell::new(Some(listener)),
            accept,
            waits: self.waits,
            console: RefCell::new(terminal.childs),
            runtimes: RefCell::new(vec![
                self.slot.dir().as_raw_fd(),
                ours.as_fd().as_raw_fd(),
                readable.as_raw_fd(),
            ]),
            hook_runtime: RefCell::new(Some((receiver, sender))),
        });
        let init = clone_init(&self.plan, cgroup.as_ref(), &context, &ours);
        let hook_ends = context.close_in_parent();
        drop(context);
        let (init, in_cgroup) = init?;
        let pid = init.pid;
        self.init = Some(init);
        if let Err(error) = self.begin(pid, in_cgroup, &ours, warn) {
            // If the child has failed, that is why.
            return Err(events::childs_failure(&ours).unwrap_or(error));
        }
        self.channel = Some(ours);
        // While the child works: from here on a killed runtime leaves all that `delete` needs.
        self.record.init = Some(ProcessRef::of(pid)?);
        self.slot.write(&self.record)?;
        self.slot.write_process(&self.plan.stored, self.plan.finish.process.seccomp.as_ref())?;
        let spec = &self.plan.lowered.spec;
        let devices = spec.linux().as_ref().and_then(|l| l.net_devices().as_ref());
        let hooked = spec.hooks().is_some() || devices.is_some_and(|d| !d.is_empty());
        Ok(hook_ends.filter(|_| hooked).map(|(receiver, sender)| HookChannel { receiver, readable, sender }))
    }

    /// Gives the child what only the runtime can, and lets it begin.
    fn begin(&mut self, pid: i32, in_cgroup: bool, channel: &Channel, warn: Warn<'_>) -> Result<()> {
        if let Some(maps) = self.plan.maps.as_ref().filter(|_| !join::makes_user_namespace(&self.plan)) {
            maps::write(pid, maps)?;
        }
        self.enter_cgroup(pid, in_cgroup, warn)?;
        if let Some(wanted) = &self.plan.rdt {
            self.record.rdt = Groups::set_up(wanted, self.plan.id.as_str(), pid)?;
        }
        prepare_process(pid, &self.plan)?;
        channel.send(&ToChild::Begin(pid))
    }

    fn make_cgroup(&mut self, options: &CreateOptions) -> Result<()> {
        cgroup::make(&self.plan, options, &self.slot, &mut self.record)?;
        self.cgroup_owner = crate::cgroup_mount::owner(&self.plan);
        let plan = Rc::get_mut(&mut self.plan).ok_or_else(|| Error::system("the plan is in use"))?;
        let mounts = &mut plan.lowered.mounts;
        crate::cgroup_mount::place(mounts, &self.record.cgroup, &plan.namespaces, plan.rootless);
        Ok(())
    }

    /// Puts the child into its cgroup, unless it was cloned into it, and sets the limits.
    fn enter_cgroup(&mut self, pid: i32, inside: bool, warn: Warn<'_>) -> Result<()> {
        if self.record.cgroup.is_none() {
            if self.plan.rootless && !self.plan.namespaces.pid.is_new() {
                warn(NO_WAY_TO_FIND_ALL.into());
            }
            return Ok(());
        }
        if !inside {
            // On record before it exists, as in [`cgroup::make`].
            if self.record.cgroup.locate()? {
                self.slot.write(&self.record)?;
            }
            self.record.cgroup.attach(pid)?;
        }
        let none = LinuxResources::default();
        let resources = self.plan.resources.as_ref().unwrap_or(&none);
        self.record.cgroup.apply(resources)?.into_iter().for_each(warn);
        match self.cgroup_owner {
            Some(uid) => self.record.cgroup.delegate_to(uid).map_err(Error::from),
            None => Ok(()),
        }
    }

    /// Answers the child until it is ready.
    fn serve(&mut self, mut hooks: Option<HookChannel>, warn: Warn<'_>) -> Result<()> {
        loop {
            match self.next_event(hooks.as_ref())? {
                Event::Other => {
                    let open = match &mut hooks {
                        Some(channel) => self.answer(channel, warn)?,
                        None => false,
                    };
                    if !open {
                        // The end of the channel without a request: the child's own report says why.
                        hooks = None;
                    }
                }
                Event::Report(FromChild::Ready) => return Ok(()),
                Event::Report(message) => self.handle(message, warn)?,
                Event::ChildGone => return Err(self.early_end()),
                Event::Signal(signal) => return Err(events::interrupted(signal, "the container")),
            }
        }
    }

    fn next_event(&mut self, hooks: Option<&HookChannel>) -> Result<Event> {
        let (Some(channel), Some(signals)) = (&self.channel, &self.signals) else {
            return Ok(Event::ChildGone);
        };
        let hooks = hooks.map(|h| h.readable.as_fd());
        events::next_event(channel, signals, hooks, &mut self.close_later)
    }

    /// Answers a request of libcontainer's init; false at the end of its channel.
    fn answer(&mut self, channel: &mut HookChannel, warn: Warn<'_>) -> Result<bool> {
        let Ok((message, _)) = channel.receiver.recv_message_with_fds() else { return Ok(false) };
        // The type of the message is private to libcontainer; its text is its name.
        let sent = match message.to_string().as_str() {
            "HookRequest" => {
                self.run_hooks()?;
                self.have_hooks_run(warn)?;
                channel.sender.hook_done()
            }
            "SetupNetworkDeviceReady" => channel.sender.move_network_device(self.move_devices()?),
            other => return Err(Error::system(format!("libcontainer's init asks for {other}"))),
        };
        sent.map(|()| true).map_err(|e| Error::system(chain(&e)))
    }

    /// Moves `linux.netDevices` into the container; their addresses, to be set there again.
    fn move_devices(&self) -> Result<HashMap<String, Vec<CidrAddress>>> {
        let path = format!("/proc/{}/ns/net", self.init_pid());
        let namespace = std::fs::File::open(&path).context(|| format!("open({path:?})"))?;
        let devices = self.plan.lowered.spec.linux().as_ref().and_then(|l| l.net_devices().as_ref());
        let moved = devices.into_iter().flatten().map(|(name, device)| {
            let addresses = dev_change_net_namespace(name, namespace.as_raw_fd(), device).map_err(|e| {
                Error::system(chain(&e))
                    .wrap(format!("linux.netDevices: {name:?}"))
                    .remedy("moving a device takes CAP_NET_ADMIN in its namespace: only root of the host has it there")
            })?;
            Ok((name.clone(), addresses))
        });
        moved.collect()
    }

    fn run_hooks(&self) -> Result<()> {
        let state = HookState::of(&self.record, Status::Creating);
        // As with runc, which works in the bundle.
        let dir = Some(self.plan.bundle.as_path());
        let setting = Setting { signals: self.signals.as_ref(), dir, ..Setting::default() };
        for (kind, list) in self.plan.runtime_hooks() {
            hooks::run(kind, list, &state, setting)?;
        }
        Ok(())
    }

    /// Has the createContainer hooks run, in the container's namespaces.
    fn have_hooks_run(&mut self, warn: Warn<'_>) -> Result<()> {
        let (false, Some(channel)) = (self.plan.create_hooks().is_empty(), &self.channel) else {
            return Ok(());
        };
        channel.send(&ToChild::RunHooks)?;
        loop {
            match self.next_event(None)? {
                Event::Report(FromChild::HooksDone) => return Ok(()),
                Event::Report(message) => self.handle(message, warn)?,
                Event::ChildGone => return Err(self.early_end()),
                Event::Signal(signal) => return Err(events::interrupted(signal, "the container")),
                Event::Other => {}
            }
        }
    }

    /// What the child may say at any moment.
    fn handle(&mut self, message: FromChild, warn: Warn<'_>) -> Result<()> {
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
            FromChild::SeccompListener(fd) => self.pass_listener(fd),
            FromChild::NeedsSource(index) => self.pass_source(index),
            FromChild::Ready
            | FromChild::HooksDone
            | FromChild::Cloned(_)
            | FromChild::NeedsMaps
            | FromChild::CloseLater => Ok(()),
        }
    }

    fn pass_source(&self, index: usize) -> Result<()> {
        let (Some(init), Some(channel)) = (&self.init, &self.channel) else { return Ok(()) };
        sources::answer(&self.plan, index, init.pid, channel)
    }

    fn pass_listener(&self, number: i32) -> Result<()> {
        if let (Some(listener), Some(init), Some(channel)) = (&self.plan.listener, &self.init, &self.channel)
        {
            let fd = sys::process::pidfd_getfd(init.pidfd.as_fd(), number)
                .context(|| format!("pidfd_getfd({}, {number})", init.pid))?;
            sockets::send_listener(&self.record, Status::Creating, listener, init.pid, fd.as_fd())?;
            channel.send(&ToChild::ListenerSent)?;
        }
        Ok(())
    }

    fn early_end(&self) -> Error {
        let pidfd = self.init.as_ref().map(|init| init.pidfd.as_fd());
        events::early_end(pidfd, "the container's first process")
    }

    /// Makes the container independent of this launch: it waits for its start, or with `start`
    /// executes its program at once.
    pub(crate) fn commit(mut self, start: bool) -> Result<Launched> {
        let terminal = match self.terminal.take() {
            // With its size before the program starts, which may ask for it at once.
            Some(socket) if start => Some(crate::foreground::receive_terminal(&socket)?),
            other => other,
        };
        if start {
            // Before it runs: what it tells others may have them exec in it.
            self.slot.end_wait();
        }
        let sent = self.channel.as_ref().map(|channel| channel.send(&ToChild::Commit { start }));
        if !matches!(sent, Some(Ok(()))) {
            return Err(self.early_end());
        }
        // The end of the channel says that the program runs, or that the wait has begun.
        loop {
            match self.next_event(None)? {
                Event::ChildGone => break,
                Event::Report(FromChild::Failed(error)) => {
                    // What it has said is on its terminal.
                    terminal.iter().for_each(crate::foreground::show);
                    return Err(error);
                }
                Event::Signal(signal) => return Err(events::interrupted(signal, "the container")),
                Event::Report(..) | Event::Other => {}
            }
        }
        self.close_later.clear();
        self.slot.unlock();
        let slot = self.slot.try_clone()?;
        self.committed = true;
        let gone = || Error::system("not launched");
        Ok(Launched {
            slot,
            record: self.record.clone(),
            pidfd: self.init.take().ok_or_else(gone)?.pidfd,
            signals: self.signals.take().ok_or_else(gone)?,
            terminal,
        })
    }
}

/// Of a container without cgroup and without pid namespace of its own.
const NO_WAY_TO_FIND_ALL: &str = "neither a cgroup nor a pid namespace holds the processes of this container together. \
     Such configuration is strongly discouraged: kill and delete reach only its first process; add \
     {\"type\": \"pid\"} to linux.namespaces";

impl Drop for Launch {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        if let Some(init) = &self.init {
            let _ = sys::process::pidfd_send_signal(init.pidfd.as_fd(), libc::SIGKILL);
            super::clone::reap(init);
        }
        let _ = self.record.cgroup.kill_all(libc::SIGKILL);
        if let Err(error) = self.record.cgroup.remove() {
            tracing::warn!("{}", chain(&error));
        }
        if let Err(error) = self.record.rdt.remove(&self.record.id) {
            tracing::warn!("{error}");
        }
        if let Some(path) = &self.pid_file {
            let _ = std::fs::remove_file(path);
        }
        if self.record.init.is_some() {
            // runtime-spec, runtime.md "Lifecycle": they run when creation fails as well.
            hooks::run_poststop(&self.record);
        }
        if let Err(error) = self.slot.remove() {
            tracing::warn!("{error}");
        }
    }
}

/// What only the runtime has the privilege for, once the child is in a user namespace.
fn prepare_process(pid: i32, plan: &Plan) -> Result<()> {
    // The affinity of whoever called is no business of the container's; its cpuset still holds.
    sys::process::allow_all_cpus(pid);
    raise_rlimits(pid, &plan.finish.process.rlimits)?;
    let Some(score) = plan.finish.process.oom_score_adj else { return Ok(()) };
    let path = format!("/proc/{pid}/oom_score_adj");
    std::fs::write(&path, score.to_string())
        .context(|| format!("process.oomScoreAdj: write({path:?}, {score})"))
        .map_err(|e| e.remedy("only root may go below the caller's own value, see /proc/self/oom_score_adj"))
}

/// Raises hard limits that are below what the container is to have: the child may lower its own, later,
/// when they are not in the way of its preparation, but not raise them.
pub(crate) fn raise_rlimits(pid: i32, rlimits: &[(u32, u64, u64)]) -> Result<()> {
    for (resource, soft, hard) in rlimits {
        let what = || format!("process.rlimits: prlimit(resource {resource}, soft {soft}, hard {hard})");
        let (now, limit) = sys::process::rlimit(pid, *resource).context(what)?;
        if *hard > limit {
            sys::process::set_rlimit(pid, *resource, now, *hard).context(what).map_err(|e| {
                e.remedy("only root may raise a hard limit; see the caller's own with `ulimit -aH`")
            })?;
        }
    }
    Ok(())
}

/// The limits without device rules, which no update changes.
fn limits(plan: &Plan) -> Option<LinuxResources> {
    let mut limits = plan.resources.clone()?;
    limits.set_devices(None);
    (limits != LinuxResources::default()).then_some(limits)
}

/// The record of a container that has no process yet.
pub(crate) fn new_record(plan: &Plan) -> Record {
    let later = plan.hooks.clone().filter(|h| h.poststart().is_some() || h.poststop().is_some());
    Record {
        oci_version: plan.oci_version.clone(),
        id: plan.id.to_string(),
        bundle: plan.bundle.clone(),
        rootfs: plan.rootfs.clone(),
        created: crate::now(),
        annotations: plan.annotations.clone(),
        init: None,
        cgroup: Cgroup::none(),
        rdt: Groups::default(),
        resources: limits(plan),
        own_pid_namespace: plan.namespaces.pid.is_new(),
        hooks: later,
    }
}

/// Writes a pid file so that nobody ever reads half of it.
pub(crate) fn write_pid_file(path: &std::path::Path, pid: i32) -> Result<()> {
    let what = || format!("--pid-file {path:?}");
    let name = path.file_name().ok_or_else(|| Error::invalid(format!("{}: names no file", what())))?;
    let new = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    std::fs::write(&new, pid.to_string()).context(what)?;
    std::fs::rename(&new, path).inspect_err(|_| drop(std::fs::remove_file(&new))).context(what)
}
