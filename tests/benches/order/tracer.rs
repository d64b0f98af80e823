//! Runs a command with a breakpoint at every function of a program.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, Error};
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rootling_tests::sys;

use crate::text::Text;

/// `--trace SYMBOLS PROGRAM FOUND COMMAND...`: runs the command, which executes the program sooner or later, and
/// writes the names of the functions to the file FOUND: those that only the first process executes, those that others
/// execute as well, and those that only others execute. Each of them then has its functions side by side. Exits with the
/// command's exit code.
pub(crate) fn main(arguments: &[String]) -> Result<ExitCode, String> {
    let [symbols, program, found, command @ ..] = arguments else {
        return Err("--trace SYMBOLS PROGRAM FOUND COMMAND...".to_owned());
    };
    let trace = || -> io::Result<ExitCode> {
        let program = fs::canonicalize(program)?;
        let mut tracer = Tracer::start(Path::new(symbols), &program, command)?;
        let code = tracer.follow()?;
        fs::write(found, tracer.names())?;
        Ok(code)
    };
    trace().map_err(|error| format!("tracing {}: {error}", command.join(" ")))
}

struct Tracer<'a> {
    symbols: &'a Path,
    program: &'a Path,
    main: Pid,
    /// Set once the program is executed.
    text: Option<Text>,
    tasks: HashSet<Pid>,
    /// The addresses of functions, in the order of first execution.
    order: Vec<usize>,
    executed: HashMap<usize, Found>,
    /// The exit code of the command.
    code: Option<u8>,
}

/// A function that has been executed.
struct Found {
    name: String,
    by_first: bool,
    by_others: bool,
}

impl<'a> Tracer<'a> {
    /// Starts the command, which is then stopped at its execve(2).
    #[allow(clippy::zombie_processes)] // `follow` waits for it
    fn start(symbols: &'a Path, program: &'a Path, command: &[String]) -> io::Result<Self> {
        let mut child = Command::new(&command[0]);
        child.args(&command[1..]);
        let main = Pid::from_raw(sys::traced(&mut child).spawn()?.id() as i32);
        waitpid(main, None)?;
        // What it starts before it executes the program is not traced.
        ptrace::setoptions(main, Options::PTRACE_O_EXITKILL | Options::PTRACE_O_TRACEEXEC)?;
        ptrace::cont(main, None)?;
        let (order, executed, tasks) = (Vec::new(), HashMap::new(), HashSet::from([main]));
        Ok(Self { symbols, program, main, text: None, tasks, order, executed, code: None })
    }

    /// The names, one on each line.
    fn names(&self) -> String {
        let all: Vec<&Found> = self.order.iter().filter_map(|address| self.executed.get(address)).collect();
        let groups = [(true, false), (true, true), (false, true)];
        let of_group = |group| all.iter().filter(move |found| (found.by_first, found.by_others) == group);
        let names: Vec<&str> =
            groups.into_iter().flat_map(of_group).map(|found| found.name.as_str()).collect();
        names.join("\n")
    }

    /// Continues until nothing is traced any more. What outlives the command is released.
    fn follow(&mut self) -> io::Result<ExitCode> {
        loop {
            let status = match waitpid(None, Some(WaitPidFlag::__WALL)) {
                Err(Errno::ECHILD) => break,
                status => status?,
            };
            match self.react(status) {
                // A task may be killed at any moment; its end is waited for as for any other.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                result => result?,
            }
        }
        self.code.map(ExitCode::from).ok_or_else(|| Error::other("it was killed"))
    }

    fn react(&mut self, status: WaitStatus) -> io::Result<()> {
        match status {
            WaitStatus::Exited(pid, code) => {
                self.ended(pid, Some(code as u8));
                Ok(())
            }
            WaitStatus::Signaled(pid, ..) => {
                self.ended(pid, None);
                Ok(())
            }
            WaitStatus::PtraceEvent(pid, _, libc::PTRACE_EVENT_EXEC) => self.executed(pid),
            WaitStatus::PtraceEvent(pid, ..) => resume(pid, None),
            WaitStatus::Stopped(pid, Signal::SIGTRAP) => self.trapped(pid),
            WaitStatus::Stopped(pid, Signal::SIGSTOP) => self.stopped(pid),
            WaitStatus::Stopped(pid, signal) => resume(pid, Some(signal)),
            _ => Ok(()),
        }
    }

    fn ended(&mut self, pid: Pid, code: Option<u8>) {
        self.tasks.remove(&pid);
        if pid == self.main {
            self.code = code;
            for task in &self.tasks {
                // It is released when it has stopped, or it has ended by itself.
                let _ = kill(*task, Signal::SIGSTOP);
            }
        }
    }

    /// A task that another has made stops once before anything else, and so does each that outlives the command.
    fn stopped(&mut self, pid: Pid) -> io::Result<()> {
        let new = self.tasks.insert(pid);
        if self.tasks.contains(&self.main) {
            if new && let Some(text) = &self.text {
                // What its parent has executed already is to be found here as well.
                text.arm(pid)?;
            }
            return resume(pid, if new { None } else { Some(Signal::SIGSTOP) });
        }
        if let Some(text) = &self.text {
            text.disarm(pid)?;
        }
        self.let_go(pid)
    }

    /// Once the program is executed, what it starts is traced as well, but no other program.
    fn executed(&mut self, pid: Pid) -> io::Result<()> {
        if pid != self.main || self.text.is_some() {
            return self.let_go(pid);
        }
        if fs::read_link(format!("/proc/{pid}/exe"))? == self.program {
            let text = Text::of(pid, self.program, self.symbols)?;
            text.arm(pid)?;
            self.text = Some(text);
            let children =
                Options::PTRACE_O_TRACEFORK | Options::PTRACE_O_TRACEVFORK | Options::PTRACE_O_TRACECLONE;
            ptrace::setoptions(pid, Options::PTRACE_O_EXITKILL | Options::PTRACE_O_TRACEEXEC | children)?;
        }
        resume(pid, None)
    }

    fn trapped(&mut self, pid: Pid) -> io::Result<()> {
        let mut registers = ptrace::getregs(pid)?;
        let address = registers.rip as usize - 1;
        let name = match &self.text {
            Some(text) => text.pass(pid, address)?,
            None => None,
        };
        let Some(name) = name else { return resume(pid, Some(Signal::SIGTRAP)) };
        let order = &mut self.order;
        let found = self.executed.entry(address).or_insert_with(|| {
            order.push(address);
            Found { name: name.to_owned(), by_first: false, by_others: false }
        });
        if pid == self.main {
            found.by_first = true;
        } else {
            found.by_others = true;
        }
        registers.rip -= 1;
        ptrace::setregs(pid, registers)?;
        resume(pid, None)
    }

    fn let_go(&mut self, pid: Pid) -> io::Result<()> {
        self.tasks.remove(&pid);
        Ok(ptrace::detach(pid, None)?)
    }
}

fn resume(pid: Pid, signal: Option<Signal>) -> io::Result<()> {
    Ok(ptrace::cont(pid, signal)?)
}
