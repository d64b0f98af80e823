//! The runtime's side of `exec`.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use rootling_config::container::Affinity;
use rootling_config::process::affinity::NumberSet;
use rootling_init::attributes::Attributes;
use rootling_init::channel::{Channel, FromChild, ToChild, Warn};
use rootling_init::exec::{Joiner, Namespaces, join_for_runtime, run, stopped};
use rootling_rootless::host::Host;
use rootling_sys as sys;
use rootling_sys::clone::{CloneOptions, Cloned, EndOnPanic};
use rootling_sys::scheduling::OneCpu;
use rootling_sys::signals::Signals;

use super::cgroup::Target;
use super::plan::{ExecPlan, affinity_error};
use super::request::ExecOptions;
use crate::caller::{Caller, check_single_threaded};
use crate::error::{Context, Error, ErrorKind, Result, no_process};
use crate::exec_state::Listener;
use crate::foreground;
use crate::launch::made::write_pid_file;
use crate::launch::reactor::{Event, Process, Reactor, interrupted, reap};
use crate::launch::{sockets, terminal};
use crate::self_exe;
use crate::state::{Record, Status};
use crate::store::Store;
use crate::streams;

/// What the process is called in errors.
const WHO: &str = "the process";

/// A process that [`exec`] has started in a container; it is a child of the calling process.
pub struct Execution {
    process: Process,
    caller: Caller,
    /// `None` if it is detached; otherwise the signals to pass on to it, and the master of its terminal.
    foreground: Option<(Signals, Option<OwnedFd>)>,
}

impl Execution {
    /// The pid, as the calling process sees it.
    pub fn pid(&self) -> i32 {
        self.process.pid
    }

    /// Waits for the process to end and returns its exit code, or 128 plus the number of the signal that ended it.
    /// Unless the process is detached, signals that the calling thread gets meanwhile are passed on to it, and its
    /// terminal, if it has one, is shown in the caller's.
    pub fn wait(self) -> Result<i32> {
        let Some((mut signals, terminal)) = self.foreground else {
            return foreground::exit_code(self.process.pidfd.as_fd());
        };
        foreground::wait(foreground::Program {
            pidfd: self.process.pidfd.as_fd(),
            signals: &mut signals,
            terminal,
            notify: None,
            caller: self.caller,
        })
    }
}

/// A pidfd of the process; it becomes readable when the process ends (pidfd_open(2)).
impl AsFd for Execution {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.pidfd.as_fd()
    }
}

/// Starts a program in a container. When this returns, the program has been executed.
///
/// # Errors
/// The calling process has more than one thread, the container does not run, or the program cannot be started. In each
/// case no process is left behind.
pub fn exec(host: &Host, store: &Store, options: &ExecOptions, warn: Warn<'_>) -> Result<Execution> {
    check_single_threaded()?;
    let slot = store.open(&options.id)?;
    let record = slot.read()?;
    let status = slot.status(&record)?;
    check_status(status, options)?;
    let init = record.init.ok_or_else(|| wrong_state("cannot exec in a container that is being created"))?;
    let (stored, filter) = slot.read_process()?;
    let maps = stored.maps.as_ref().map(|(uid, gid)| (uid.as_slice(), gid.as_slice()));
    self_exe::protect(maps, options.caller)?;
    let target = Target::new(&slot, &record.cgroup, &options.cgroups, init.pid, status == Status::Paused)?;
    let plan = ExecPlan::new(host, options, stored, filter, warn)?;
    let namespaces = Namespaces::of(init.pid, init.open()?.ok_or_else(stopped)?)?;
    let terminal =
        terminal::path(options.console_socket.as_deref(), plan.attributes.terminal, options.detach)?;
    let signals = options.caller.block_signals()?;
    let owner = namespaces.in_user_namespace().then_some(plan.attributes.uid);
    let owner = owner.filter(|_| !plan.attributes.terminal);
    let mut exec = Exec::start(record, plan, namespaces, terminal.child_end, &target, signals)?;
    exec.serve(&target, warn)?;
    exec.prepare(options)?;
    if let Some(uid) = owner {
        streams::give_pipes_to(uid, exec.reactor.process().pid);
    }
    let (master, process, signals) = exec.commit(terminal.ours.as_ref(), warn)?;
    let foreground = (!options.detach).then_some((signals, master));
    Ok(Execution { process, caller: options.caller, foreground })
}

fn check_status(status: Status, options: &ExecOptions) -> Result<()> {
    match status {
        Status::Stopped => Err(wrong_state("cannot exec in a stopped container; delete it and run it again")),
        Status::Creating => Err(wrong_state("cannot exec in a container that is still being created")),
        Status::Paused if !options.ignore_paused => {
            Err(wrong_state("cannot exec in a paused container (use --ignore-paused to override)"))
        }
        Status::Created | Status::Running | Status::Paused => Ok(()),
    }
}

fn wrong_state(text: &str) -> Error {
    Error::new(ErrorKind::WrongState, text)
}

/// A process that is being made.
struct Exec {
    record: Record,
    listener: Option<Listener>,
    affinity: Affinity,
    /// Waits for the child.
    reactor: Reactor,
    making: Making,
    /// Whether the process is already in its cgroup.
    placed: bool,
}

impl Exec {
    fn start(
        record: Record,
        plan: ExecPlan,
        namespaces: Namespaces,
        console: Option<OwnedFd>,
        target: &Target<'_>,
        signals: Signals,
    ) -> Result<Self> {
        let (ours, child_end) = Channel::pair()?;
        let ExecPlan { attributes, apparmor, affinity, listener } = plan;
        let needs_child = namespaces.need_child();
        let apparmor = apparmor.as_deref();
        let joiner = Joiner { namespaces, console, waits: false };
        // What was asked for stays as it is, and so does what the log shows of it.
        let on_one_cpu = affinity.initial.is_none() && !child_end.is_detailed();
        let channel = Some(child_end);
        let mut child = Child { joiner, channel, attributes: &attributes, apparmor, on_one_cpu };
        let made = clone_joiner(&mut child, target, affinity.initial.as_ref().map(NumberSet::words))?;
        drop(child);
        let who = if needs_child { "the process that joins the container" } else { WHO };
        let placed = made.placed;
        let mut reactor = Reactor::new(ours, signals, made.process, who);
        let result = match made.progress {
            Progress::Joins => let_join(&mut reactor, target, placed, needs_child),
            Progress::Ended(result) => has_joined(&mut reactor, result).map(|()| placed),
        };
        match result {
            Ok(placed) => {
                let making = Making::new(reactor.process())?;
                Ok(Self { record, listener, affinity, reactor, making, placed })
            }
            Err(error) => {
                reactor.abandon();
                Err(error)
            }
        }
    }

    /// Serves the child until it is ready.
    fn serve(&mut self, target: &Target<'_>, warn: Warn<'_>) -> Result<()> {
        if !self.placed {
            let pid = self.reactor.process().pid;
            target.attach(pid)?;
        }
        loop {
            match self.reactor.next()? {
                Event::Report(FromChild::Ready, _) => return Ok(()),
                Event::Report(message, fd) => self.handle(message, fd, warn)?,
                Event::Signal(signal) => return Err(interrupted(signal, WHO)),
                Event::ChildGone => return Err(self.reactor.early_end()),
            }
        }
    }

    /// Handles the reports that the child may send at any time.
    fn handle(&mut self, message: FromChild, fd: Option<OwnedFd>, warn: Warn<'_>) -> Result<()> {
        match message {
            FromChild::Failed(error) => return Err(error),
            FromChild::Warning(text) => warn(text),
            FromChild::Debug(text) => tracing::debug!("{text}"),
            FromChild::SeccompListener => {
                let pid = self.reactor.process().pid;
                if let (Some(listener), Some(fd)) = (&self.listener, fd) {
                    sockets::send_listener(&self.record, Status::Running, listener, pid, fd.as_fd())?;
                }
                self.reactor.send(&ToChild::ListenerSent)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Does what only the runtime can do, and reports the pid and the pidfd to the caller.
    fn prepare(&mut self, options: &ExecOptions) -> Result<()> {
        let pid = self.reactor.process().pid;
        self.record.rdt.join(pid)?;
        self.set_affinity(pid)?;
        if let Some(path) = &options.pid_file {
            write_pid_file(path, pid)?;
            self.making.pid_file = Some(path.clone());
        }
        if let Some(path) = &options.pidfd_socket {
            let socket = sockets::connect(path, "--pidfd-socket")?;
            sys::socket::send_fd(socket.as_fd(), b"pidfd", self.reactor.process().pidfd.as_fd())
                .context(|| format!("--pidfd-socket {path:?}: sendmsg(SCM_RIGHTS)"))?;
        }
        Ok(())
    }

    fn set_affinity(&self, pid: i32) -> Result<()> {
        match (&self.affinity.initial, &self.affinity.last) {
            (_, Some(mask)) => sys::scheduling::set_affinity(pid, mask.words())
                .map_err(|errno| affinity_error(errno, "final")),
            (Some(_), None) => Ok(()),
            (None, None) => {
                // The affinity of the calling process must not restrict the container's.
                sys::scheduling::allow_all_cpus(pid);
                Ok(())
            }
        }
    }

    /// Lets the program run; returns the master of its terminal if we are to show it, and what is needed to wait for
    /// the process.
    fn commit(
        mut self,
        terminal: Option<&OwnedFd>,
        warn: Warn<'_>,
    ) -> Result<(Option<OwnedFd>, Process, Signals)> {
        // The terminal gets its size before the program starts, which may ask for it at once.
        let master = terminal.map(foreground::receive_terminal).transpose()?;
        self.reactor.check_signals()?;
        if self.reactor.send(&ToChild::Commit).is_err() {
            return Err(self.reactor.childs_failure().unwrap_or_else(|| self.reactor.early_end()));
        }
        loop {
            match self.reactor.next()? {
                // The end of the channel shows that the program has been executed.
                Event::ChildGone if self.reactor.has_been_read() => break,
                Event::ChildGone => return Err(self.reactor.early_end()),
                Event::Report(FromChild::Failed(error), _) => {
                    // What the program or the child has written is on the terminal.
                    master.iter().for_each(foreground::show);
                    return Err(error);
                }
                Event::Report(message, fd) => self.handle(message, fd, warn)?,
                Event::Signal(signal) => return Err(interrupted(signal, WHO)),
            }
        }
        self.making.keep();
        let (process, signals) = self.reactor.into_parts();
        Ok((master, process, signals))
    }
}

/// Waits until the process that is inside the container exists; returns whether it is in its cgroup.
fn let_join(reactor: &mut Reactor, target: &Target<'_>, placed: bool, needs_child: bool) -> Result<bool> {
    let waits = !placed && target.needs_own_process();
    if waits {
        target.attach(reactor.process().pid)?;
        reactor.send(&ToChild::Placed)?;
    }
    if needs_child {
        reactor.take_over(WHO, &mut |_| Ok(()))?;
    }
    Ok(placed || waits)
}

/// What has been made so far. If it is dropped before it is kept, all of it is undone.
struct Making {
    process: Option<Process>,
    pid_file: Option<PathBuf>,
}

impl Making {
    fn new(process: &Process) -> Result<Self> {
        let pidfd = sys::fds::duplicate(process.pidfd.as_fd()).context(|| "dup of the pidfd")?;
        Ok(Self { process: Some(Process { pid: process.pid, pidfd }), pid_file: None })
    }

    fn keep(mut self) {
        self.process = None;
        self.pid_file = None;
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if let Some(process) = &self.process {
            let _ = sys::process::pidfd_send_signal(process.pidfd.as_fd(), Signal::SIGKILL as i32);
            if let Err(error) = reap(process) {
                tracing::warn!("{error}");
            }
        }
        if let Some(path) = &self.pid_file {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Continues with the process that one has cloned which has ended by now. Its result is missing if it did not end by itself.
fn has_joined(reactor: &mut Reactor, result: Option<Result<i32>>) -> Result<()> {
    match result {
        Some(pid) => reactor.continue_with(pid?, WHO),
        None => Err(reactor.childs_failure().unwrap_or_else(|| reactor.early_end())),
    }
}

/// What the child takes with it.
struct Child<'a> {
    joiner: Joiner,
    /// `None` in a process that has taken it.
    channel: Option<Channel>,
    attributes: &'a Attributes,
    apparmor: Option<&'a str>,
    /// Whether it may be made on the CPU that this process runs on, and stay there until it is in the container.
    on_one_cpu: bool,
}

/// A process that joins the container.
struct Made {
    process: Process,
    /// Whether it is in the container's cgroup.
    placed: bool,
    progress: Progress,
}

/// How far a process that joins the container has come.
enum Progress {
    /// It reports over the channel.
    Joins,
    /// It has ended, with the pid of the process that it has cloned, or why it could not; with neither if it was killed.
    Ended(Option<Result<i32>>),
}

/// Clones the process that joins the container, into the cgroup if the kernel allows it. Only the parent returns.
fn clone_joiner(child: &mut Child<'_>, target: &Target<'_>, initial: Option<&[u64]>) -> Result<Made> {
    let held = target.hold()?;
    // The clone inherits the affinity, so the child has it before it is in the container's cgroup.
    let own = initial.map(|_| sys::scheduling::affinity()).transpose().context(|| "sched_getaffinity")?;
    if let Some(mask) = initial {
        sys::scheduling::set_affinity(0, mask).map_err(|errno| affinity_error(errno, "initial"))?;
    }
    check_single_threaded()?;
    let made = clone_in_cgroup(child, target);
    drop(held);
    if let Some(own) = own {
        let _ = sys::scheduling::set_affinity(0, &own);
    }
    made.context(|| "clone3").map_err(no_process)
}

fn clone_in_cgroup(child: &mut Child<'_>, target: &Target<'_>) -> Result<Made, Errno> {
    let namespaces = &child.joiner.namespaces;
    // Not in a paused container: a wait for a process that shares our memory heeds no signal.
    let shares_memory = namespaces.need_child() && namespaces.leave_memory() && !target.is_paused();
    for dir in target.clone_into() {
        let cgroup = Some(dir.as_raw_fd());
        if shares_memory && let Ok(made) = join_at_once(child, cgroup) {
            return Ok(made);
        }
        let options = CloneOptions { cgroup, ..CloneOptions::default() };
        if let Ok(cloned) = sys::clone::clone(options) {
            return Ok(parent_of(cloned, child, true));
        }
    }
    child.joiner.waits = target.needs_own_process();
    if shares_memory
        && !child.joiner.waits
        && let Ok(made) = join_at_once(child, None)
    {
        return Ok(made);
    }
    sys::clone::clone(CloneOptions::default()).map(|cloned| parent_of(cloned, child, false))
}

/// Returns what was made; the child never returns.
fn parent_of(cloned: Cloned, child: &mut Child<'_>, placed: bool) -> Made {
    match cloned {
        Cloned::Parent { pid, pidfd } => {
            Made { process: Process { pid, pidfd }, placed, progress: Progress::Joins }
        }
        Cloned::Child => {
            let _end = EndOnPanic;
            if let Some(channel) = child.channel.take() {
                run(channel, &child.joiner, child.attributes, child.apparmor);
            }
            sys::exec::exit_now(1)
        }
    }
}

/// Has a process join that shares our memory, and waits for it; it has cloned another then. A tenth of the time of an
/// exec is that of copying this process twice.
fn join_at_once(child: &mut Child<'_>, cgroup: Option<RawFd>) -> Result<Made, Errno> {
    let dumpable = prctl::get_dumpable();
    let Child { joiner, channel, attributes, apparmor, on_one_cpu } = child;
    let cpu = on_one_cpu.then(OneCpu::hold).and_then(std::result::Result::ok);
    let ended = sys::vfork::vfork(cgroup, &mut || {
        join_for_runtime(channel, joiner, attributes, *apparmor, cpu.as_ref())
    });
    drop(cpu);
    // It was set for the memory.
    if dumpable == Ok(true) {
        let _ = prctl::set_dumpable(true);
    }
    let sys::vfork::Ended { pid, pidfd, result } = ended?;
    let process = Process { pid, pidfd };
    Ok(Made { process, placed: cgroup.is_some(), progress: Progress::Ended(result) })
}
