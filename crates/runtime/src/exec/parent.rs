//! The runtime's side of `exec`.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;

use super::cgroup::Target;
use super::join::{self, ExecContext};
use super::namespaces::Namespaces;
use super::plan::{Affinity, ExecPlan, affinity_error};
use super::request::ExecOptions;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::foreground;
use crate::launch::clone::{Init, reap};
use crate::launch::events::{self, Event};
use crate::launch::{Signals, sockets, terminal, write_pid_file};
use crate::lifecycle::Warn;
use crate::plan::Listener;
use crate::report::{Channel, FromChild, ToChild};
use crate::self_exe;
use crate::state::{Record, Status};
use crate::store::Store;
use crate::sys;
use crate::sys::clone::{CloneOptions, Cloned};

/// Runs a program in a container and, unless detached, waits for its end; its exit code.
pub fn exec(store: &Store, options: &ExecOptions, warn: Warn<'_>) -> Result<i32> {
    let slot = store.open(&options.id)?;
    let record = slot.read()?;
    check_status(slot.status(&record), options)?;
    let init = record.init.ok_or_else(|| wrong_state("cannot exec in a container that is being created"))?;
    let (stored, filter) = slot.read_process()?;
    self_exe::protect(stored.maps.as_ref().map(|(uid, gid)| (uid.as_slice(), gid.as_slice())))?;
    let target = Target::new(&record.cgroup, &options.cgroups, init.pid)?;
    let plan = ExecPlan::new(options, stored, filter, warn)?;
    let namespaces = Namespaces::of(init)?;
    let terminal =
        terminal::path(options.console_socket.as_deref(), plan.attributes.terminal, options.detach)?;
    let mut signals = Signals::block()?;
    let mut exec = Exec::start(record, plan, namespaces, terminal.childs, &target, &signals)?;
    exec.serve(&signals, &target, warn)?;
    exec.prepare(options)?;
    // What the child has said on its standard error whoever reads that may not hear of in time.
    let commit = exec.commit(terminal.ours.as_ref(), &signals);
    let master = commit.map_err(|e| if options.detach { e.unsaid() } else { e })?;
    if options.detach {
        return Ok(0);
    }
    foreground::wait(foreground::Program {
        pidfd: exec.process.pidfd.as_fd(),
        signals: &mut signals,
        terminal: master,
    })
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

/// A process that is being made. Dropped before [`Exec::commit`], it is killed.
struct Exec {
    record: Record,
    listener: Option<Listener>,
    affinity: Affinity,
    channel: Channel,
    /// The one that joins, and then the one that it has cloned.
    process: Init,
    /// What it has said before it was known.
    early: VecDeque<FromChild>,
    /// Whether it is in its cgroup.
    placed: bool,
    pid_file: Option<std::path::PathBuf>,
    committed: bool,
}

impl Exec {
    fn start(
        record: Record,
        mut plan: ExecPlan,
        namespaces: Namespaces,
        console: Option<OwnedFd>,
        target: &Target,
        signals: &Signals,
    ) -> Result<Self> {
        let (ours, childs) = Channel::pair()?;
        let listener = plan.listener.take();
        let affinity = std::mem::take(&mut plan.affinity);
        let context = ExecContext {
            plan,
            namespaces,
            channel: childs,
            console: RefCell::new(console),
            runtimes: vec![ours.as_fd().as_raw_fd(), signals.as_fd().as_raw_fd()],
        };
        let (process, placed) = clone_joiner(&context, target, affinity.initial.as_deref())?;
        let needs_child = context.namespaces.need_child();
        drop(context);
        let mut exec = Self {
            record,
            listener,
            affinity,
            channel: ours,
            process,
            early: VecDeque::new(),
            placed,
            pid_file: None,
            committed: false,
        };
        if !exec.placed && target.needs_own_process() {
            target.attach(exec.process.pid)?;
            exec.placed = true;
            exec.channel.send(&ToChild::Placed)?;
        }
        if needs_child {
            exec.take_over(signals)?;
        }
        Ok(exec)
    }

    /// Waits for the process that the joiner clones: our own child, so that its pid cannot be used again.
    fn take_over(&mut self, signals: &Signals) -> Result<()> {
        loop {
            match events::next_event(&self.channel, signals, None, &mut Vec::new())? {
                Event::Report(FromChild::Cloned(pid)) => {
                    let pidfd = sys::process::pidfd_open(pid).context(|| format!("pidfd_open({pid})"))?;
                    let joiner = std::mem::replace(&mut self.process, Init { pid, pidfd });
                    reap(&joiner);
                    return Ok(());
                }
                Event::Report(FromChild::Failed(error)) => return Err(error),
                // The new process may be faster than the one that has cloned it.
                Event::Report(early) => self.early.push_back(early),
                Event::Signal(signal) => return Err(events::interrupted(signal, "the process")),
                Event::Other => {}
                Event::ChildGone => {
                    let who = "the process that joins the container";
                    return Err(events::early_end(Some(self.process.pidfd.as_fd()), who));
                }
            }
        }
    }

    /// Answers the child until it is ready.
    fn serve(&mut self, signals: &Signals, target: &Target, warn: Warn<'_>) -> Result<()> {
        if !self.placed {
            target.attach(self.process.pid)?;
        }
        loop {
            let event = match self.early.pop_front() {
                Some(message) => Event::Report(message),
                None => events::next_event(&self.channel, signals, None, &mut Vec::new())?,
            };
            match event {
                Event::Report(FromChild::Ready) => return Ok(()),
                Event::Report(FromChild::Failed(error)) => return Err(error),
                Event::Report(FromChild::Warning(text)) => warn(text),
                Event::Report(FromChild::SeccompListener(fd)) => self.pass_listener(fd)?,
                Event::Signal(signal) => return Err(events::interrupted(signal, "the process")),
                Event::ChildGone => return Err(self.early_end()),
                Event::Report(_) | Event::Other => {}
            }
        }
    }

    fn pass_listener(&self, number: i32) -> Result<()> {
        let Some(listener) = &self.listener else { return Ok(()) };
        let fd = sys::process::pidfd_getfd(self.process.pidfd.as_fd(), number)
            .context(|| format!("pidfd_getfd({}, {number})", self.process.pid))?;
        sockets::send_listener(&self.record, Status::Running, listener, self.process.pid, fd.as_fd())?;
        self.channel.send(&ToChild::ListenerSent)
    }

    /// What only the runtime can do, and the caller is told.
    fn prepare(&mut self, options: &ExecOptions) -> Result<()> {
        let pid = self.process.pid;
        self.record.rdt.join(pid)?;
        self.set_affinity(pid)?;
        if let Some(path) = &options.pid_file {
            write_pid_file(path, pid)?;
            self.pid_file = Some(path.clone());
        }
        if let Some(path) = &options.pidfd_socket {
            let socket = sockets::connect(path, "--pidfd-socket")?;
            sockets::send_fd(socket.as_fd(), b"pidfd", self.process.pidfd.as_fd())?;
        }
        Ok(())
    }

    /// In its cgroup, where the kernel cuts the mask to the cpuset.
    fn set_affinity(&self, pid: i32) -> Result<()> {
        match (&self.affinity.initial, &self.affinity.last) {
            (_, Some(mask)) => {
                sys::scheduling::set_affinity(pid, mask).map_err(|errno| affinity_error(errno, "final"))
            }
            (Some(_), None) => Ok(()),
            (None, None) => {
                // That of whoever called is no business of the container's.
                sys::process::allow_all_cpus(pid);
                Ok(())
            }
        }
    }

    fn early_end(&self) -> Error {
        events::early_end(Some(self.process.pidfd.as_fd()), "the process")
    }

    /// Lets the program run; the master of its terminal if it is ours to show.
    fn commit(&mut self, terminal: Option<&OwnedFd>, signals: &Signals) -> Result<Option<OwnedFd>> {
        // With its size before the program starts, which may ask for it at once.
        let master = terminal.map(foreground::receive_terminal).transpose()?;
        if self.channel.send(&ToChild::Commit { start: true }).is_err() {
            return Err(self.early_end());
        }
        loop {
            match events::next_event(&self.channel, signals, None, &mut Vec::new())? {
                // The end of the channel says that the program runs.
                Event::ChildGone => break,
                Event::Report(FromChild::Failed(error)) => {
                    // What it has said is on its terminal.
                    master.iter().for_each(foreground::show);
                    return Err(error);
                }
                Event::Signal(signal) => return Err(events::interrupted(signal, "the process")),
                Event::Report(..) | Event::Other => {}
            }
        }
        self.committed = true;
        Ok(master)
    }
}

impl Drop for Exec {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        let _ = sys::process::pidfd_send_signal(self.process.pidfd.as_fd(), libc::SIGKILL);
        reap(&self.process);
        if let Some(path) = &self.pid_file {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Clones the process that joins, into its cgroup where the kernel lets us; whether it is in there. Only
/// the parent returns.
fn clone_joiner(context: &ExecContext, target: &Target, initial: Option<&[u64]>) -> Result<(Init, bool)> {
    // Handed on by the clone, so that the child has it before it is in the container's cgroup.
    let own = initial.map(|_| sys::scheduling::affinity()).transpose().context(|| "sched_getaffinity")?;
    if let Some(mask) = initial {
        sys::scheduling::set_affinity(0, mask).map_err(|errno| affinity_error(errno, "initial"))?;
    }
    let mut result = Err(Errno::ENOENT);
    for dir in target.clone_into() {
        result = clone(context, Some(dir.as_raw_fd()), false);
        if result.is_ok() {
            break;
        }
    }
    let placed = result.is_ok();
    let result = result.or_else(|_| clone(context, None, target.needs_own_process()));
    if let Some(own) = own {
        let _ = sys::scheduling::set_affinity(0, &own);
    }
    result.map(|init| (init, placed)).context(|| "clone3")
}

fn clone(context: &ExecContext, cgroup: Option<i32>, wait: bool) -> Result<Init, Errno> {
    match sys::clone::clone(CloneOptions { cgroup, ..CloneOptions::default() })? {
        Cloned::Parent { pid, pidfd } => Ok(Init { pid, pidfd }),
        Cloned::Child => join::run(context, wait),
    }
}
