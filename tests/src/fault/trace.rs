//! Runs commands under ptrace(2): records which calls their processes make, or makes one of these fail.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::cases::Fault;
use super::report;
use crate::sys::{self, CallStop, Waited};
use crate::{Cmd, Output, calls};

/// How long a command whose call has failed may take.
const LIMIT: Duration = Duration::from_secs(10);

/// How long the processes of a failed command may take to end after it.
const SETTLE: Duration = Duration::from_secs(2);

/// The role of the process that the command starts.
pub(super) const RUNTIME: &str = "runtime";

/// The role of the process that waits for `start`.
const WAITING: &str = "waiting";

/// The command that a command is run under: it stops until it is traced.
const STOPPED: [&str; 4] = ["sh", "-c", "kill -STOP $$; exec \"$@\"", "sh"];

/// Programs of the host that the runtime executes; the role of their processes is their name.
const HELPERS: [&str; 2] = ["newuidmap", "newgidmap"];

/// Signals by which a process ends itself. The first process of a pid namespace, which they end if the kernel
/// itself sends them, does not end by them while it is traced.
const CRASHES: [Signal; 4] = [Signal::SIGABRT, Signal::SIGSEGV, Signal::SIGILL, Signal::SIGBUS];

/// A system call that was made.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// The role of the process.
    pub(super) role: String,
    pub(super) name: String,
    /// How many calls of this name the role has made, including this one.
    pub(super) nth: usize,
    pub(super) errno: Option<Errno>,
    /// Whether it precedes `main` of a Rust program.
    pub(super) start: bool,
}

/// The result of a traced command.
pub(super) struct Traced {
    pub(super) output: Output,
    /// All of its calls, if no fault was requested.
    pub(super) calls: Vec<Call>,
    /// Whether the call that was to fail was made.
    pub(super) reached: bool,
    pub(super) hung: bool,
    /// Processes that have outlived the command.
    pub(super) left: Vec<Pid>,
}

/// A process or a thread.
#[derive(Default)]
struct Tracee {
    role: String,
    /// Whether it is the runtime or a helper, whose calls count.
    counts: bool,
    /// The call that it is making, by its index in the record.
    call: Option<usize>,
    /// The value that the call is to return instead.
    result: Option<i64>,
    children: usize,
}

/// Kills what takes too long.
struct Watch {
    tracees: Mutex<BTreeSet<i32>>,
    expired: Mutex<bool>,
}

struct Tracer<'a> {
    fault: Option<&'a Fault>,
    root: Pid,
    tracees: HashMap<Pid, Tracee>,
    /// Processes that have stopped before their parent has reported them.
    early: BTreeSet<Pid>,
    counts: BTreeMap<(String, i64), usize>,
    calls: Vec<Call>,
    reached: bool,
    /// Processes that are no longer traced.
    released: Vec<Pid>,
    watch: Arc<Watch>,
    status: Option<i32>,
}

/// Runs the command, either with the fault or recording its calls. Surviving processes are no longer traced.
/// `waiting` is the first process of a container that waits for its start: what it does until it executes its
/// program belongs to the runtime as well.
pub(super) fn run(command: Cmd, fault: Option<&Fault>, waiting: Option<Pid>) -> Traced {
    let running = command.under(&STOPPED).spawn();
    let root = Pid::from_raw(running.pid());
    let watch = Arc::new(Watch { tracees: BTreeSet::from([running.pid()]).into(), expired: false.into() });
    let mut tracer = Tracer {
        fault,
        root,
        tracees: HashMap::from([(root, Tracee { role: RUNTIME.to_owned(), ..Tracee::default() })]),
        early: BTreeSet::new(),
        counts: BTreeMap::new(),
        calls: Vec::new(),
        reached: false,
        released: Vec::new(),
        watch: Arc::clone(&watch),
        status: None,
    };
    watch_over(&watch);
    if let Some(waiting) = waiting {
        tracer.join(waiting);
    }
    tracer.begin();
    while tracer.status.is_none() {
        let status = tracer.wait(Pid::from_raw(-1), any()).expect("wait for a traced process");
        tracer.step(status);
    }
    let status = tracer.status.unwrap_or_default();
    let left = tracer.settle(status != 0);
    watch.tracees.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let hung = *watch.expired.lock().unwrap_or_else(PoisonError::into_inner);
    mark_starts(&mut tracer.calls);
    let output = running.ended(ExitStatus::from_raw(status));
    Traced { output, calls: tracer.calls, reached: tracer.reached, hung, left }
}

/// Whether this process may trace its children, which some containers do not allow.
pub fn is_allowed() -> bool {
    let Ok(mut child) = Command::new("sleep").arg("60").spawn() else { return false };
    let allowed = ptrace::seize(Pid::from_raw(child.id() as i32), Options::PTRACE_O_EXITKILL).is_ok();
    let _ = child.kill();
    let _ = child.wait();
    allowed
}

/// Waits for all traced processes, but only those of this thread.
fn any() -> WaitPidFlag {
    WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD
}

fn options() -> Options {
    Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL
}

/// Starts the thread that ends the tracees when their time is up.
fn watch_over(watch: &Arc<Watch>) {
    let watch = Arc::clone(watch);
    let end = Instant::now() + LIMIT;
    std::thread::spawn(move || {
        loop {
            sleep(Duration::from_millis(20));
            let tracees = watch.tracees.lock().unwrap_or_else(PoisonError::into_inner);
            if tracees.is_empty() {
                return;
            }
            if Instant::now() > end {
                *watch.expired.lock().unwrap_or_else(PoisonError::into_inner) = true;
                for &pid in tracees.iter() {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
            }
        }
    });
}

/// Just before `main`, a Rust program makes its alternate signal stack, within some 30 calls. Threads make one as
/// well.
fn mark_starts(calls: &mut [Call]) {
    const MOST: usize = 50;
    let mut image: Vec<usize> = Vec::new();
    for at in 0..calls.len() {
        if calls[at].role != RUNTIME {
            continue;
        }
        image.push(at);
        match calls[at].name.as_str() {
            "execve" | "execveat" => image.clear(),
            "sigaltstack" if image.len() <= MOST => image.iter().for_each(|&at| calls[at].start = true),
            _ => {}
        }
    }
}

impl Tracer<'_> {
    /// Also traces a process of another command. One that this account may not trace is left alone.
    fn join(&mut self, pid: Pid) {
        if ptrace::seize(pid, options() & !Options::PTRACE_O_EXITKILL).is_err() {
            return;
        }
        ptrace::interrupt(pid).expect("stop the process that waits");
        waitpid(pid, Some(any())).expect("wait for it to stop");
        self.tracees.insert(pid, Tracee { role: WAITING.to_owned(), counts: true, ..Tracee::default() });
        self.watch.tracees.lock().unwrap_or_else(PoisonError::into_inner).insert(pid.as_raw());
        self.go_on(pid, None);
    }

    /// Attaches to the command, which has stopped itself, and lets it continue.
    fn begin(&mut self) {
        let stopped = waitpid(self.root, Some(WaitPidFlag::WUNTRACED)).expect("wait for the command to stop");
        assert!(matches!(stopped, WaitStatus::Stopped(_, Signal::SIGSTOP)), "{stopped:?}");
        ptrace::seize(self.root, options()).expect("trace the command");
        kill(self.root, Signal::SIGCONT).expect("let the command go on");
    }

    fn step(&mut self, status: WaitStatus) {
        match status {
            WaitStatus::Exited(pid, code) => self.gone(pid, code << 8),
            WaitStatus::Signaled(pid, signal, _) => self.gone(pid, signal as i32),
            WaitStatus::PtraceSyscall(pid) => {
                // A process that is killed meanwhile is gone soon.
                let _ = self.call(pid);
                self.go_on(pid, None);
            }
            WaitStatus::PtraceEvent(pid, signal, event) => self.event(pid, signal, event),
            WaitStatus::Stopped(pid, signal) if CRASHES.contains(&signal) && pid != self.root => {
                self.gone(pid, 0);
                self.released.push(pid);
                let _ = ptrace::detach(pid, Some(signal));
            }
            WaitStatus::Stopped(pid, signal) => self.go_on(pid, Some(signal)),
            _ => {}
        }
    }

    fn gone(&mut self, pid: Pid, status: i32) {
        self.tracees.remove(&pid);
        self.early.remove(&pid);
        self.watch.tracees.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid.as_raw());
        if pid == self.root {
            self.status = Some(status);
        }
    }

    /// Waits for a process. One that gets a realtime signal continues with it: Go programs and glibc's setuid(3)
    /// send them.
    fn wait(&self, pid: Pid, flags: WaitPidFlag) -> nix::Result<WaitStatus> {
        loop {
            match sys::wait_for(pid, flags)? {
                Waited::Status(status) => return Ok(status),
                // It may have been killed.
                Waited::RealTime(pid, signal) => drop(sys::go_on_with(pid, signal, self.matters(pid))),
            }
        }
    }

    /// Lets it run to its next call, if that matters.
    fn go_on(&self, pid: Pid, signal: Option<Signal>) {
        // It may have been killed.
        let _ = if self.matters(pid) { ptrace::syscall(pid, signal) } else { ptrace::cont(pid, signal) };
    }

    /// Whether its next call matters.
    fn matters(&self, pid: Pid) -> bool {
        let tracee = self.tracees.get(&pid);
        tracee.is_some_and(|tracee| tracee.counts && (!self.reached || tracee.result.is_some()))
    }

    fn event(&mut self, pid: Pid, signal: Signal, event: i32) {
        const CLONES: [Options; 3] =
            [Options::PTRACE_O_TRACEFORK, Options::PTRACE_O_TRACEVFORK, Options::PTRACE_O_TRACECLONE];
        // PTRACE_EVENT_STOP in linux/ptrace.h, with which a seized process also begins.
        const STOP: i32 = 128;
        if event == STOP {
            if self.tracees.contains_key(&pid) {
                // A stop by a signal, such as that of the command before it began, does not count here.
                let _ = signal;
                self.go_on(pid, None);
            } else {
                self.early.insert(pid);
            }
            return;
        }
        if CLONES.iter().any(|option| 1 << event == option.bits()) {
            self.cloned(pid);
        } else if 1 << event == Options::PTRACE_O_TRACEEXEC.bits() {
            self.executed(pid);
        }
        self.go_on(pid, None);
    }

    /// Handles a new process or thread of `parent`.
    fn cloned(&mut self, parent: Pid) {
        let Ok(child) = ptrace::getevent(parent) else { return };
        let child = Pid::from_raw(child as i32);
        let thread = fs::exists(format!("/proc/{parent}/task/{child}")).unwrap_or(false);
        let parent = self.tracees.entry(parent).or_default();
        let role = if thread {
            parent.role.clone()
        } else {
            parent.children += 1;
            format!("{}.{}", parent.role, parent.children)
        };
        let tracee = Tracee { role, counts: parent.counts, ..Tracee::default() };
        self.tracees.insert(child, tracee);
        self.watch.tracees.lock().unwrap_or_else(PoisonError::into_inner).insert(child.as_raw());
        if self.early.remove(&child) {
            self.go_on(child, None);
        }
    }

    /// Handles the execution of another program: the command itself, a helper, or what the runtime is to start.
    fn executed(&mut self, pid: Pid) {
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        // If a thread other than the first has executed it, that one is the first from now on.
        if let Ok(former) = ptrace::getevent(pid)
            && former as i32 != pid.as_raw()
        {
            self.gone(Pid::from_raw(former as i32), 0);
        }
        let Some(tracee) = self.tracees.get_mut(&pid) else { return };
        if HELPERS.contains(&&*name) {
            tracee.role = name.into_owned();
            tracee.counts = true;
        } else {
            tracee.counts = name != report::PROGRAM;
        }
    }

    /// Handles the beginning or the end of a system call.
    fn call(&mut self, pid: Pid) -> nix::Result<()> {
        let Some(tracee) = self.tracees.get_mut(&pid) else { return Ok(()) };
        match sys::call_stop(pid)? {
            CallStop::Entry(number) => self.enter(pid, number),
            CallStop::Exit(value) => {
                if let Some(result) = tracee.result.take() {
                    sys::set_result(pid, result)?;
                }
                if let Some(at) = tracee.call.take() {
                    self.calls[at].errno =
                        (-4095..0).contains(&value).then(|| Errno::from_raw(-value as i32));
                }
                Ok(())
            }
            CallStop::Other => Ok(()),
        }
    }

    fn enter(&mut self, pid: Pid, number: i64) -> nix::Result<()> {
        let Some(tracee) = self.tracees.get_mut(&pid) else { return Ok(()) };
        let count = self.counts.entry((tracee.role.clone(), number)).or_default();
        *count += 1;
        let nth = *count;
        let Some(fault) = self.fault else {
            let name = calls::name(number as i32);
            tracee.call = Some(self.calls.len());
            self.calls.push(Call { role: tracee.role.clone(), name, nth, errno: None, start: false });
            return Ok(());
        };
        if self.reached || fault.number != number || fault.nth != nth || fault.role != tracee.role {
            return Ok(());
        }
        self.reached = true;
        tracee.result = Some(-i64::from(fault.errno as i32));
        match fault.call.as_str() {
            // A descriptor is closed whatever close(2) returns.
            "close" => Ok(()),
            // It returns the current end if it cannot move it.
            "brk" => {
                tracee.result = None;
                sys::set_argument(pid, 0)
            }
            _ => sys::skip_call(pid),
        }
    }

    /// Releases what is still alive, and waits for a while for its end if nothing is expected to survive.
    fn settle(&mut self, nothing_expected: bool) -> Vec<Pid> {
        let end = Instant::now() + if nothing_expected { SETTLE } else { Duration::ZERO };
        self.fault = None;
        self.reached = true;
        while !self.tracees.is_empty() && Instant::now() < end {
            match self.wait(Pid::from_raw(-1), any() | WaitPidFlag::WNOHANG) {
                Ok(WaitStatus::StillAlive) => sleep(Duration::from_millis(1)),
                Ok(status) => self.step(status),
                Err(_) => break,
            }
        }
        let pids: Vec<Pid> = self.tracees.keys().copied().collect();
        let mut left: Vec<Pid> = pids.into_iter().filter(|&pid| self.let_go(pid)).collect();
        left.append(&mut self.released);
        left
    }

    /// Releases a process; returns whether it still existed.
    fn let_go(&mut self, pid: Pid) -> bool {
        let _ = ptrace::interrupt(pid);
        let signal = match self.wait_among_others(pid) {
            Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) | Err(_) => {
                self.gone(pid, 0);
                return false;
            }
            Ok(WaitStatus::Stopped(_, signal)) => Some(signal),
            Ok(_) => None,
        };
        let _ = ptrace::detach(pid, signal);
        true
    }

    /// Waits for this process, and meanwhile for all others: the first process of a pid namespace ends only after the
    /// threads and processes in it have been waited for, which is up to whoever traces them.
    fn wait_among_others(&mut self, pid: Pid) -> nix::Result<WaitStatus> {
        loop {
            let status = self.wait(Pid::from_raw(-1), any())?;
            if status.pid() == Some(pid) {
                return Ok(status);
            }
            self.step(status);
            if !self.tracees.contains_key(&pid) {
                return Err(Errno::ECHILD);
            }
        }
    }
}
