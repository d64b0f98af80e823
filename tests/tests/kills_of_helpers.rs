//! A process that runs beside a command gets SIGKILL, SIGTERM or SIGINT at any moment: newuidmap, a hook, the
//! process that runs the hook, the one that joins the container for exec, or the child before it executes the
//! program. The command ends and says why, what it has made is gone without a `delete`, and the container of an
//! exec continues to work.
//!
//! The moments are random, as in kills.rs.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rootling_tests::{
    Bundle, Cmd, Output, Random, Running, Shown, Test, Who, attempts, both, eventually, leaks, seed, sys,
};
use serde_json::json;

both!(helper_is_killed_at_any_moment);

const SIGNALS: [Signal; 3] = [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT];

/// The process that gets the signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    /// newuidmap or newgidmap.
    Mapper,
    /// A hook that the runtime runs.
    Hook,
    /// A hook that the container's first process runs.
    HookInside,
    /// The process that runs that hook.
    HookRunner,
    /// The container's first process, before or after it executes the program.
    First,
    /// The process that joins a container.
    Joiner,
    /// The process that the joiner makes, which executes the program.
    Joined,
}

/// A command, and which of its helpers is to be killed.
struct Case {
    victim: Victim,
    command: &'static str,
}

const CASES: [Case; 10] = [
    Case { victim: Victim::Mapper, command: "create" },
    Case { victim: Victim::Mapper, command: "run" },
    Case { victim: Victim::Hook, command: "create" },
    Case { victim: Victim::Hook, command: "run" },
    Case { victim: Victim::HookInside, command: "create" },
    Case { victim: Victim::HookRunner, command: "run" },
    Case { victim: Victim::First, command: "create" },
    Case { victim: Victim::First, command: "run" },
    Case { victim: Victim::Joiner, command: "exec" },
    Case { victim: Victim::Joined, command: "exec" },
];

/// A process that cannot be mistaken for another one.
struct Process {
    pidfd: i64,
}

impl Process {
    /// A child that `parent` has now; `None` if it no longer has that child.
    fn of_child(parent: i32, pid: i32) -> Option<Self> {
        let pidfd = sys::system_call(libc::SYS_pidfd_open, [i64::from(pid), 0, 0, 0, 0, 0]).ok()?;
        let process = Self { pidfd };
        children(parent).contains(&pid).then_some(process)
    }

    /// Returns false if it has ended.
    fn signal(&self, signal: Option<Signal>) -> bool {
        let number = signal.map_or(0, |signal| signal as i64);
        sys::system_call(libc::SYS_pidfd_send_signal, [self.pidfd, number, 0, 0, 0, 0]).is_ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = sys::system_call(libc::SYS_close, [self.pidfd, 0, 0, 0, 0, 0]);
    }
}

fn children(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn name(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}

/// The victim among the processes of a command, if it exists at this moment.
fn find(victim: Victim, command: i32) -> Option<Process> {
    let first = children(command);
    let hook_of = |parent: i32| children(parent).into_iter().find(|&pid| name(pid) == "sleep");
    match victim {
        Victim::Mapper => {
            let mapper = |pid: &&i32| ["newuidmap", "newgidmap"].contains(&name(**pid).as_str());
            Process::of_child(command, *first.iter().find(mapper)?)
        }
        Victim::Hook => Process::of_child(command, hook_of(command)?),
        Victim::HookInside => first.iter().find_map(|&runner| Process::of_child(runner, hook_of(runner)?)),
        Victim::HookRunner => {
            first.iter().find_map(|&runner| Process::of_child(command, hook_of(runner).map(|_| runner)?))
        }
        Victim::First | Victim::Joiner => Process::of_child(command, *first.first()?),
        // The process that joins has come first.
        Victim::Joined => Process::of_child(command, *first.get(1)?),
    }
}

/// Waits for the victim until the command has ended.
fn wait_for(victim: Victim, running: &mut Running) -> Option<Process> {
    let start = Instant::now();
    while matches!(running.child.try_wait(), Ok(None)) {
        assert!(start.elapsed() < rootling_tests::LIMIT, "the command does not end");
        if let Some(process) = find(victim, running.pid()) {
            return Some(process);
        }
    }
    None
}

struct Stage<'a> {
    t: &'a Test,
    plain: Bundle,
    mapped: Option<Bundle>,
    hook: Bundle,
    inside: Bundle,
    pid_file: PathBuf,
}

/// How long a hook runs.
const HOOK: Duration = Duration::from_millis(30);

impl<'a> Stage<'a> {
    fn new(t: &'a Test) -> Self {
        let works = ["sh", "-c", "echo works"];
        let plain = t.bundle(&works);
        let with_hook = |kind: &str| {
            let mut bundle = plain.sibling(t, &works);
            let hook = json!([{"path": "/bin/sleep", "args": ["sleep", HOOK.as_secs_f64().to_string()]}]);
            bundle.set(&format!("/hooks/{kind}"), hook).write();
            bundle
        };
        let (hook, inside) = (with_hook("createRuntime"), with_hook("createContainer"));
        // Root writes maps without a helper.
        let mapped = (t.who() == Who::User).then(|| {
            let mut bundle = plain.sibling(t, &works);
            bundle.many_ids().then(|| {
                bundle.write();
                bundle
            })
        });
        plain.write();
        t.run_detached(plain.sibling(t, &["sleep", "1000000"]).write(), "exec").ok();
        Self { t, plain, mapped: mapped.flatten(), hook, inside, pid_file: t.path("pid") }
    }

    /// The command of a case; `None` if it has no such helper here.
    fn command(&self, case: &Case) -> Option<Cmd> {
        let t = self.t;
        if case.command == "exec" {
            return Some(t.exec::<&str>(&[], "exec", &["echo", "works"]));
        }
        let bundle = match case.victim {
            Victim::Mapper => self.mapped.as_ref()?,
            Victim::Hook => &self.hook,
            Victim::HookInside | Victim::HookRunner => &self.inside,
            _ => &self.plain,
        };
        let launch = t.rootling(&[case.command, "--pid-file"]).arg(&self.pid_file);
        Some(launch.arg("-b").arg(bundle.dir()).arg(t.id("c")))
    }

    /// How long the victim exists, undisturbed, while the command is running. It may exist for less than a
    /// millisecond, so it is looked for more than once.
    fn length(&self, case: &Case) -> Option<Duration> {
        let mut length = None;
        for _ in 0..20 {
            let mut running = self.command(case)?.spawn();
            if let Some(victim) = wait_for(case.victim, &mut running) {
                let start = Instant::now();
                while victim.signal(None) && matches!(running.child.try_wait(), Ok(None)) {}
                length = Some(start.elapsed());
            }
            running.output().ok();
            self.t.delete_force("c").ok();
            let _ = fs::remove_file(&self.pid_file);
            if length.is_some() {
                break;
            }
        }
        length
    }

    fn judge(&self, case: &Case, output: &Output) {
        let t = self.t;
        let killed = |code: i32| SIGNALS.iter().any(|&signal| code == 128 + signal as i32);
        match output.exit() {
            0 if case.command == "create" => {
                assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""), "{output}");
                // Its first process may have been killed when everything was done.
                let status = t.status("c");
                assert!(["created", "stopped"].contains(&status.as_str()), "{status} after {output}");
                t.delete_force("c").ok();
                let _ = fs::remove_file(&self.pid_file);
            }
            0 => assert_eq!((output.text(), output.stderr.as_str()), ("works", ""), "{output}"),
            // The program was executed and then killed.
            code if killed(code) && case.command != "create" => assert_eq!(output.stderr, "", "{output}"),
            _ => output.fails_with(&[]),
        }
        if case.command == "exec" {
            let programs = || t.exec::<&str>(&[], "exec", &["ps", "-o", "comm"]).output().ok().stdout;
            eventually("only the program is left", || programs() == "COMMAND\nsleep\nps\n");
            return;
        }
        t.rootling(&["state", &t.id("c")]).output().fails_with(&["does not exist"]);
        let left = || {
            let all = leaks::find(t.marker(), &[t.account().clone()]);
            all.into_iter().filter(|what| !what.contains(&t.id("exec"))).collect::<Vec<_>>()
        };
        eventually("nothing is left", || {
            left().iter().all(|what| what.starts_with("process") && what.contains("sleep 1000000"))
        });
        if output.exit() != 0 && case.command == "create" {
            assert!(!self.pid_file.exists(), "the pid file is left by {output}");
        }
        let _ = fs::remove_file(&self.pid_file);
    }
}

fn helper_is_killed_at_any_moment(t: &Test) {
    let stage = Stage::new(t);
    let cases: Vec<_> =
        CASES.iter().filter_map(|case| stage.length(case).map(|length| (case, length))).collect();
    let victims: Vec<_> = cases.iter().map(|(case, _)| case.victim).collect();
    let found = |victim| victims.contains(&victim) || victim == Victim::Mapper;
    assert!(CASES.iter().all(|case| found(case.victim)), "helpers that were not found: only {victims:?}");
    let seed = seed();
    let mut random = Random::of(seed);
    let mut hits = vec![0; cases.len()];
    for attempt in 0..attempts(SIGNALS.len() * cases.len()) {
        let (case, length) = cases[attempt % cases.len()];
        let signal = SIGNALS[attempt / cases.len() % SIGNALS.len()];
        let moment = length.mul_f64(random.fraction());
        let Case { victim, command } = case;
        let _shown = Shown(format!(
            "attempt {attempt}, {signal} to {victim:?} of {command} {moment:?} after its start, seed {seed}"
        ));
        let mut running = stage.command(case).expect("a command").spawn();
        if let Some(process) = wait_for(*victim, &mut running) {
            sleep(moment);
            hits[attempt % cases.len()] += usize::from(process.signal(Some(signal)));
        }
        let output = running.output();
        let _output = Shown(output.to_string());
        stage.judge(case, &output);
    }
    println!("signals that have reached their victims: {hits:?}");
    assert!(hits.iter().sum::<usize>() > 0, "no signal has reached its victim");
    t.delete_force("exec").ok();
}
