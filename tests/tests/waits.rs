//! Every wait of the runtime ends: whatever fails, whoever is killed, the command does not hang.
//!
//! strace(1) injects a failure: the N-th time that a process makes a system call, the call fails without being
//! made, or the process is killed. A command that hangs reaches the time limit of the harness, which shows the
//! injection. `ROOTLING_REPEATS` multiplies the number of attempts.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rootling_tests::cgroups::Way;
use rootling_tests::{
    Bundle, Cmd, Output, Running, Socket, Test, Variation, both, can_trace, eventually, leaks, repeats, root,
};
use serde_json::json;

both!(
    hook_that_kills_what_runs_it_fails_run_and_create,
    run_goes_on_after_an_interrupted_call,
    create_goes_on_after_an_interrupted_call,
    exec_goes_on_after_an_interrupted_call,
    run_ends_whatever_call_of_the_runtime_fails,
    create_ends_whatever_call_of_the_runtime_fails,
    exec_ends_whatever_call_of_the_runtime_fails,
    run_ends_whatever_call_of_any_process_fails,
    create_ends_whatever_call_of_any_process_fails,
    exec_ends_whatever_call_of_any_process_fails,
    run_ends_when_any_of_its_processes_is_killed,
    create_ends_when_any_of_its_processes_is_killed,
    exec_ends_when_any_of_its_processes_is_killed,
    run_ends_when_any_of_its_processes_is_killed_with_an_agent,
    create_ends_when_any_of_its_processes_is_killed_with_an_agent,
    exec_ends_when_any_of_its_processes_is_killed_with_an_agent,
    paused_container_is_not_started,
);

root!(paused_container_is_not_started_on_v2);

/// The commands that launch something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Launch {
    Run,
    Create,
    Exec,
}

/// A command that is launched again and again. `exec` has a container for it.
struct Subject<'a> {
    t: &'a Test,
    launch: Launch,
    bundle: Bundle,
    /// The agent of its filter, if it has one. It accepts the listeners of all attempts, and answers none.
    _agent: Option<Socket>,
}

impl<'a> Subject<'a> {
    /// `None`, with the reason printed, if strace cannot be used.
    fn new(t: &'a Test, launch: Launch) -> Option<Self> {
        Self::made(t, launch, None)
    }

    /// With a filter that has an agent.
    fn with_agent(t: &'a Test, launch: Launch) -> Option<Self> {
        Self::made(t, launch, Some(Socket::listen(t, "agent")))
    }

    fn made(t: &'a Test, launch: Launch, agent: Option<Socket>) -> Option<Self> {
        if !can_trace(t) {
            return None;
        }
        let stays = launch == Launch::Exec;
        let mut bundle = t.bundle(if stays { &["sleep", "1000000"] } else { &["echo", "works"] });
        if let Some(agent) = &agent {
            let rule = json!({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"});
            let profile =
                json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule], "listenerPath": agent.path()});
            bundle.set("/linux/seccomp", profile);
        }
        bundle.write();
        if stays {
            t.run_detached(&bundle, "c").ok();
        }
        Some(Self { t, launch, bundle, _agent: agent })
    }

    /// The name of the container, which differs for each attempt unless it is for exec.
    fn name(&self, attempt: usize) -> String {
        if self.launch == Launch::Exec { "c".to_owned() } else { format!("c{attempt}") }
    }

    fn command(&self, attempt: usize) -> Cmd {
        let id = self.t.id(&self.name(attempt));
        match self.launch {
            Launch::Run => self.t.rootling(&["run", "-b"]).arg(self.bundle.dir()).arg(id),
            Launch::Create => self.t.rootling(&["create", "-b"]).arg(self.bundle.dir()).arg(id),
            Launch::Exec => self.t.rootling(&["exec", &id, "echo", "works"]),
        }
    }

    /// The command under strace, which is not its parent: the end of the command is its own.
    fn traced(&self, attempt: usize, options: &[&str]) -> Cmd {
        let strace = [&["strace", "-D", "-qq"][..], options].concat();
        self.command(attempt).under(&strace)
    }

    /// Removes what an attempt has left, and asserts that a reported success was one.
    fn judge(&self, attempt: usize, output: &Output) {
        if output.exit() == 0 && self.launch != Launch::Create {
            assert_eq!(output.text(), "works", "a success without the program: {output}");
        }
        if self.launch != Launch::Exec {
            let deleted = self.t.delete_force(&self.name(attempt));
            // What a failure leaves of the state is another matter.
            assert!(deleted.exit() == 0 || output.exit() != 0, "{deleted}\nafter {output}");
        }
    }

    /// Asserts that nothing has got worse, and that no process is left.
    fn end(self, attempts: usize) {
        let t = self.t;
        let output = self.command(attempts).output().ok();
        if self.launch != Launch::Create {
            assert_eq!(output.text(), "works", "{output}");
        }
        if self.launch == Launch::Exec {
            let none: [&str; 0] = [];
            let programs = || t.exec(&none, "c", &["ps", "-o", "comm"]).output().ok().stdout;
            eventually("only the program is in the container", || programs() == "COMMAND\nsleep\nps\n");
        }
        t.delete_force(&self.name(attempts)).exit();
        let processes = || {
            let left = leaks::find(t.marker(), &[]);
            left.into_iter().filter(|what| what.starts_with("process")).collect::<Vec<_>>()
        };
        eventually("all processes have ended", || processes().is_empty());
        let _ = fs::remove_dir_all(t.state_root());
        leaks::remove_cgroups(t.marker());
    }

    /// The system calls of the command, each with the largest number that a single process makes of it.
    fn calls(&self, options: &[&str]) -> BTreeMap<String, usize> {
        let trace = self.t.path("trace");
        let output = self.traced(0, &[&["-o", &trace.to_string_lossy()], options].concat()).output();
        self.judge(0, &output.ok());
        let tracing = || leaks::find(self.t.marker(), &[]).iter().any(|what| what.contains("strace -D"));
        eventually("the trace is whole", || !tracing());
        let text = fs::read_to_string(&trace).expect("the trace");
        let mut of_processes: HashMap<(&str, &str), usize> = HashMap::new();
        for line in text.lines() {
            // With -f, a pid precedes each line.
            let call = line.trim_start_matches(|letter: char| letter.is_ascii_digit());
            let process = &line[..line.len() - call.len()];
            if let Some((name, _)) = call.trim_start().split_once('(')
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            {
                *of_processes.entry((process, name)).or_default() += 1;
            }
        }
        let mut calls = BTreeMap::new();
        for ((_, name), count) in of_processes {
            let most: &mut usize = calls.entry(name.to_owned()).or_default();
            *most = count.max(*most);
        }
        // They do not return if they succeed.
        calls.retain(|name, _| !["execve", "execveat", "exit", "exit_group"].contains(&name.as_str()));
        assert!(calls.len() > 10, "{calls:?} in {text}");
        calls
    }
}

/// How often to do something that is usually done `usual` times.
fn times(usual: usize) -> usize {
    repeats(usual)
}

/// The processes whose calls fail.
const RUNTIME: [&str; 0] = [];
const EVERYBODY: [&str; 1] = ["-f"];

/// Injects each of `faults` into the first calls of each name, and judges each result.
fn inject(
    subject: Subject,
    whose: &[&str],
    faults: &[&str],
    depth: &dyn Fn(&str) -> usize,
    only: &dyn Fn(&str) -> bool,
    judge: &dyn Fn(&Output),
) {
    let calls = subject.calls(whose);
    let can_fail = |call: &str| match call {
        // It releases the descriptor even if it fails, which strace cannot imitate.
        "close" => false,
        // The kernel's has no error. A program of glibc that gets one crashes, and as the first process of a pid
        // namespace, with strace behind it, it does so for ever.
        "brk" => *whose != EVERYBODY,
        _ => true,
    };
    let mut attempt = 1;
    for (name, most) in calls.iter().filter(|(name, _)| only(name)) {
        for time in 1..=depth(name).min(*most) {
            for fault in faults.iter().filter(|fault| !fault.starts_with("error") || can_fail(name)) {
                let (trace, inject) = (format!("trace={name}"), format!("inject={name}:{fault}:when={time}"));
                let options = [whose, &["-o", "/dev/null", "-e", &trace, "-e", &inject]].concat();
                let output = subject.traced(attempt, &options).output();
                judge(&output);
                subject.judge(attempt, &output);
                attempt += 1;
            }
        }
    }
    subject.end(attempt);
}

/// Calls that may wait, and so may be interrupted by a signal that has a handler.
const MAY_WAIT: [&str; 14] = [
    "accept4",
    "epoll_pwait",
    "epoll_wait",
    "poll",
    "ppoll",
    "pselect6",
    "read",
    "recvfrom",
    "recvmsg",
    "sendmsg",
    "sendto",
    "wait4",
    "waitid",
    "write",
];

/// EINTR is not an answer: the call is made again.
fn goes_on_after_an_interrupted_call(t: &Test, launch: Launch) {
    if let Some(subject) = Subject::new(t, launch) {
        let may_wait = |name: &str| MAY_WAIT.contains(&name);
        let succeeds = |output: &Output| assert_eq!(output.exit(), 0, "{output}");
        inject(subject, &RUNTIME, &["error=EINTR"], &|_| times(6), &may_wait, &succeeds);
    }
}

fn run_goes_on_after_an_interrupted_call(t: &Test) {
    goes_on_after_an_interrupted_call(t, Launch::Run);
}

fn create_goes_on_after_an_interrupted_call(t: &Test) {
    goes_on_after_an_interrupted_call(t, Launch::Create);
}

fn exec_goes_on_after_an_interrupted_call(t: &Test) {
    goes_on_after_an_interrupted_call(t, Launch::Exec);
}

/// Only the runtime fails, and has to end what it has started.
fn ends_whatever_call_of_the_runtime_fails(t: &Test, launch: Launch) {
    if let Some(subject) = Subject::new(t, launch) {
        // What the processes say to each other comes after much else that is read and written.
        let depth = |name: &str| times(if MAY_WAIT.contains(&name) { 60 } else { 2 });
        inject(subject, &RUNTIME, &["error=EPERM", "error=ENOSPC"], &depth, &|_| true, &|_| {});
    }
}

fn run_ends_whatever_call_of_the_runtime_fails(t: &Test) {
    ends_whatever_call_of_the_runtime_fails(t, Launch::Run);
}

fn create_ends_whatever_call_of_the_runtime_fails(t: &Test) {
    ends_whatever_call_of_the_runtime_fails(t, Launch::Create);
}

fn exec_ends_whatever_call_of_the_runtime_fails(t: &Test) {
    ends_whatever_call_of_the_runtime_fails(t, Launch::Exec);
}

/// Any of the processes fails or is killed, and the others must notice that.
fn ends_whatever_call_of_any_process_fails(t: &Test, launch: Launch) {
    if let Some(subject) = Subject::new(t, launch) {
        inject(subject, &EVERYBODY, &["error=EPERM", "signal=KILL"], &|_| times(2), &|_| true, &|_| {});
    }
}

fn run_ends_whatever_call_of_any_process_fails(t: &Test) {
    ends_whatever_call_of_any_process_fails(t, Launch::Run);
}

fn create_ends_whatever_call_of_any_process_fails(t: &Test) {
    ends_whatever_call_of_any_process_fails(t, Launch::Create);
}

fn exec_ends_whatever_call_of_any_process_fails(t: &Test) {
    ends_whatever_call_of_any_process_fails(t, Launch::Exec);
}

/// Each process of a launch is killed right after it, or another one, was made: delaying clone(2) holds up the
/// process that has made it, so that the next step is not taken before.
fn ends_when_any_of_its_processes_is_killed(subject: Option<Subject<'_>>) {
    const SLOW_CLONE: [&str; 7] = [
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "trace=clone,clone3,fork,vfork",
        "-e",
        "inject=clone,clone3,fork,vfork:delay_exit=200000",
    ];
    let Some(subject) = subject else { return };
    let mut attempt = 0;
    let mut try_to_kill = |made, victim| {
        let running = subject.traced(attempt, &SLOW_CLONE).spawn();
        let killed = kill_descendant(&running, made, victim);
        let output = running.output();
        subject.judge(attempt, &output);
        attempt += 1;
        killed
    };
    // The first one exists in each launch, but a busy machine may look too late.
    let killed = (0..10).any(|_| try_to_kill(1, 0));
    assert!(killed, "no command has ever had a child");
    for made in 1..=3 {
        for victim in 0..made {
            for _ in 0..times(1) {
                try_to_kill(made, victim);
            }
        }
    }
    subject.end(attempt);
}

/// Waits until a command has made this many processes, and kills one of them, in the order in which they were made.
/// Returns false if there never were that many.
fn kill_descendant(command: &Running, made: usize, victim: usize) -> bool {
    let mut seen = Vec::new();
    eventually("it has made processes, or ended", || {
        let mut family = vec![command.pid()];
        family.extend(&seen);
        for pid in family {
            for child in children(pid) {
                if !seen.contains(&child) {
                    seen.push(child);
                }
            }
        }
        seen.len() >= made || ended(command.pid())
    });
    let there = seen.get(victim).filter(|_| seen.len() >= made);
    there.is_some_and(|&pid| kill(Pid::from_raw(pid), Signal::SIGKILL).is_ok())
}

/// The children of the first thread of a process, without a tracer. strace starts its own as the child of a child,
/// so that one is gone soon: a process that no longer has a name does not count.
fn children(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let counts =
        |pid: &i32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name != "strace\n");
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).filter(counts).collect()
}

/// Whether a process is a zombie, or gone.
fn ended(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
}

fn run_ends_when_any_of_its_processes_is_killed(t: &Test) {
    ends_when_any_of_its_processes_is_killed(Subject::new(t, Launch::Run));
}

fn run_ends_when_any_of_its_processes_is_killed_with_an_agent(t: &Test) {
    ends_when_any_of_its_processes_is_killed(Subject::with_agent(t, Launch::Run));
}

fn create_ends_when_any_of_its_processes_is_killed(t: &Test) {
    ends_when_any_of_its_processes_is_killed(Subject::new(t, Launch::Create));
}

fn create_ends_when_any_of_its_processes_is_killed_with_an_agent(t: &Test) {
    ends_when_any_of_its_processes_is_killed(Subject::with_agent(t, Launch::Create));
}

fn exec_ends_when_any_of_its_processes_is_killed(t: &Test) {
    ends_when_any_of_its_processes_is_killed(Subject::new(t, Launch::Exec));
}

fn exec_ends_when_any_of_its_processes_is_killed_with_an_agent(t: &Test) {
    ends_when_any_of_its_processes_is_killed(Subject::with_agent(t, Launch::Exec));
}

/// createContainer hooks are run by the container's first process. Its own pid namespace protects that from them;
/// without one they can kill it, and the launch with it.
fn hook_that_kills_what_runs_it_fails_run_and_create(t: &Test) {
    let hook = |script: &str| json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
    let mut bundle = t.shell("echo program >/tmp/ran");
    bundle.set("/hooks/createContainer", hook("kill -9 $PPID")).write();
    t.run(&bundle).ok();
    assert!(bundle.rootfs("tmp/ran").exists());
    bundle.without_namespace("pid");
    fs::remove_file(bundle.rootfs("tmp/ran")).expect("remove the file");
    for script in ["kill -9 $PPID", "kill -9 $PPID; exec sleep 1000000"] {
        bundle.set("/hooks/createContainer", hook(script)).write();
        for output in [t.run(&bundle), t.create(&bundle, "c")] {
            // A warning about a container that nothing holds together may come first.
            let output = output.code(1);
            let last = output.stderr.lines().last().unwrap_or_default();
            assert!(
                last.contains("createContainer hooks was killed by SIGKILL; somebody else has"),
                "{output}"
            );
        }
        assert!(!bundle.rootfs("tmp/ran").exists(), "the program ran although {script:?} ended the launch");
        t.rootling(&["state", &t.id("c")]).output().fails_with(&["does not exist"]);
    }
}

/// What is frozen cannot answer: start would wait forever.
fn paused_container_is_not_started(t: &Test) {
    for way in Way::all(t) {
        not_started_while_paused(t, &|args| way.rootling(t, args));
    }
}

fn paused_container_is_not_started_on_v2(t: &Test) {
    if Variation::of(t).is_some() {
        not_started_while_paused(t, &|args| {
            Variation::of(t).expect("root started the tests").cgroup_v2().run(t.rootling(args))
        });
    }
}

fn not_started_while_paused(t: &Test, call: &dyn Fn(&[&str]) -> Cmd) {
    let bundle = t.bundle(&["sleep", "1000000"]);
    let (dir, id) = (bundle.write().dir().to_string_lossy().into_owned(), t.id("c"));
    let status = || call(&["state", &id]).output().ok().json()["status"].clone();
    call(&["create", "-b", &dir, &id]).output().ok();
    call(&["pause", &id]).output().ok();
    for _ in 0..2 {
        call(&["start", &id]).output().fails_with(&["paused", "resume"]);
        assert_eq!(status(), "paused");
    }
    call(&["resume", &id]).output().ok();
    assert_eq!(status(), "created");
    call(&["start", &id]).output().ok();
    assert_eq!(status(), "running");
    call(&["delete", "-f", &id]).output().ok();
}
