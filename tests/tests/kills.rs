//! A command gets SIGKILL, SIGTERM or SIGINT at any moment: the container exists or it does not, all other commands
//! work, and `delete -f` leaves nothing. For processes that run beside a command see kills_of_helpers.rs.
//!
//! The moments are random and spread over the time that the command takes here undisturbed. The seed is shown with
//! a failure; `ROOTLING_SEED` repeats its choices as far as the machine permits.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rootling_tests::{
    Bundle, Cmd, Output, Random, Shown, Test, attempts, both, can_trace, eventually, has_criu, leaks, seed,
};
use serde_json::json;

both!(
    command_is_killed_at_any_moment,
    signal_after_the_state_directory_was_made_leaves_nothing,
    runtime_that_is_killed_while_a_hook_runs_takes_both_with_it,
);

const SIGNALS: [Signal; 3] = [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT];

/// What exists when a command begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Created,
    Running,
    Paused,
}

/// The purpose of a command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Makes a container that stays.
    Make,
    /// Makes a container that is gone when the command ends.
    RunToTheEnd,
    /// Leaves the container as it was, or with its program executed.
    Use,
    /// Ends the container's program.
    End,
    /// Removes the container.
    Remove,
}

struct Subject {
    /// The words of the command, in which ID, BUNDLE, SHORT (a bundle whose program ends soon) and PID_FILE are
    /// replaced.
    words: &'static str,
    before: Before,
    purpose: Purpose,
}

const fn subject(words: &'static str, before: Before, purpose: Purpose) -> Subject {
    Subject { words, before, purpose }
}

const SUBJECTS: [Subject; 17] = [
    subject("create --pid-file PID_FILE -b BUNDLE ID", Before::Nothing, Purpose::Make),
    subject("run --pid-file PID_FILE -b SHORT ID", Before::Nothing, Purpose::RunToTheEnd),
    subject("run -d --pid-file PID_FILE -b BUNDLE ID", Before::Nothing, Purpose::Make),
    subject("start ID", Before::Created, Purpose::Use),
    subject("exec ID true", Before::Running, Purpose::Use),
    subject("exec -d ID sleep 1000000", Before::Running, Purpose::Use),
    subject("kill ID KILL", Before::Running, Purpose::End),
    subject("pause ID", Before::Running, Purpose::Use),
    subject("resume ID", Before::Paused, Purpose::Use),
    subject("update --pids-limit 100 ID", Before::Running, Purpose::Use),
    subject("delete ID", Before::Created, Purpose::Remove),
    subject("delete -f ID", Before::Running, Purpose::Remove),
    subject("state ID", Before::Running, Purpose::Use),
    subject("list", Before::Running, Purpose::Use),
    subject("ps ID", Before::Running, Purpose::Use),
    subject("events --stats ID", Before::Running, Purpose::Use),
    CHECKPOINT,
];

const CHECKPOINT: Subject = subject("checkpoint --image-path IMAGES ID", Before::Running, Purpose::Remove);

/// Two bundles and one container, used over and over.
struct Stage<'a> {
    t: &'a Test,
    bundle: Bundle,
    short: Bundle,
    pid_file: PathBuf,
}

impl<'a> Stage<'a> {
    fn new(t: &'a Test) -> Self {
        let bundle = t.bundle(&["sleep", "1000000"]);
        let short = bundle.sibling(t, &["sleep", "0.02"]);
        bundle.write();
        short.write();
        Self { t, bundle, short, pid_file: t.path("pid") }
    }

    fn command(&self, words: &str) -> Cmd {
        let value = |word: &str| match word {
            "ID" => self.t.id("c"),
            "BUNDLE" => self.bundle.dir().display().to_string(),
            "SHORT" => self.short.dir().display().to_string(),
            "PID_FILE" => self.pid_file.display().to_string(),
            "IMAGES" => self.t.path("images").display().to_string(),
            other => other.to_owned(),
        };
        self.t.rootling(&words.split(' ').map(value).collect::<Vec<_>>())
    }

    /// Makes what a command begins with.
    fn set(&self, before: Before) {
        if before == Before::Nothing {
            return;
        }
        self.command("create -b BUNDLE ID").output().ok();
        if before != Before::Created {
            self.command("start ID").output().ok();
        }
        if before == Before::Paused {
            // An ordinary user may have no cgroup, and then there is nothing to resume either.
            self.command("pause ID").output();
        }
    }

    fn exec_works(&self) -> Output {
        self.command("exec ID true").output()
    }

    /// The container's status as `state` reports it, and `list` as well; `None` if there is no container. `half`
    /// says whether it may be half made or half removed, which both must report.
    fn status(&self, half: bool) -> Option<String> {
        let state = self.command("state ID").output();
        let list = self.command("list -q").output().ok();
        let listed = list.stdout.lines().any(|line| line == self.t.id("c"));
        if state.exit() == 0 {
            assert!(listed && list.stderr.is_empty(), "{state}\nbut {list}");
            let status = state.json()["status"].as_str().expect("a status").to_owned();
            assert!(["created", "running", "paused", "stopped"].contains(&status.as_str()), "{state}");
            return Some(status);
        }
        assert!(!listed, "{state}\nbut {list}");
        if half && state.stderr.contains("is damaged") {
            state.fails_with(&["rootling delete --force"]);
            assert_eq!(list.stderr.lines().count(), 1, "{list}");
        } else {
            state.fails_with(&["does not exist"]);
            assert!(list.stderr.is_empty(), "{list}");
        }
        None
    }

    /// Removes the container, and asserts that nothing is left.
    fn end(&self) {
        let deleted = self.t.delete_force("c").ok();
        assert_eq!((deleted.stdout.as_str(), deleted.stderr.as_str()), ("", ""), "{deleted}");
        leaks::assert_none(self.t);
        let _ = fs::remove_file(&self.pid_file);
        let _ = fs::remove_dir_all(self.t.path("images"));
    }

    /// How long the command takes undisturbed.
    fn length(&self, subject: &Subject) -> Duration {
        self.set(subject.before);
        let start = Instant::now();
        self.command(subject.words).output();
        let length = start.elapsed();
        self.end();
        length
    }

    fn judge(&self, subject: &Subject, signal: Signal, output: &Output) {
        let done = output.exit() == 0;
        match subject.purpose {
            Purpose::Make if signal == Signal::SIGKILL => self.judge_killed_maker(output),
            Purpose::Make if done => self.judge_used(),
            // An interrupted launch undoes what it has made.
            Purpose::Make => self.assert_nothing(),
            Purpose::RunToTheEnd if signal == Signal::SIGKILL => {
                self.status(true);
                self.assert_whole_pid_file();
            }
            // Its pid file is kept, as with runc.
            Purpose::RunToTheEnd => {
                assert_eq!(self.status(false), None);
                leaks::assert_none(self.t);
            }
            Purpose::Use => self.judge_used(),
            Purpose::End => {
                let status = self.status(false).expect("kill removes nothing");
                if done {
                    eventually("it is stopped", || self.status(false).as_deref() == Some("stopped"));
                } else if status == "running" {
                    // The signal may have been sent, and its end may be a moment away.
                    let exec = self.exec_works();
                    assert!(exec.exit() == 0 || self.status(false).as_deref() == Some("stopped"), "{exec}");
                }
            }
            Purpose::Remove => {
                let status = self.status(true);
                assert!(!done || status.is_none(), "{output}");
            }
        }
    }

    /// `create` or `run -d` was killed. What it has started ends with it, or is complete.
    fn judge_killed_maker(&self, output: &Output) {
        // Its lock is held until the last process that has it has released it, which may take time on a busy
        // machine.
        eventually("it is not being created any more", || {
            !self.command("state ID").output().stdout.contains("\"status\": \"creating\"")
        });
        let status = self.status(true);
        self.assert_whole_pid_file();
        if output.exit() == 0 {
            return self.judge_used();
        }
        if matches!(status.as_deref(), Some("created" | "running")) {
            // Its first process may be about to end: a moment later it is known whether it is.
            if status.as_deref() == Some("created") {
                self.command("start ID").output();
            }
            let exec = self.exec_works();
            eventually("the container works, or has stopped", || {
                self.exec_works().exit() == 0 || self.status(true).as_deref() == Some("stopped")
            });
            // Or its program was killed with the container.
            assert!([0, 137].contains(&exec.exit()) || exec.stderr.lines().count() == 1, "{exec}");
        }
    }

    /// The container exists and works, whatever has ended the command.
    fn judge_used(&self) {
        match self.status(false).expect("the container is there").as_str() {
            "paused" => drop(self.command("resume ID").output().ok()),
            "created" => {
                // A container that was started but has not removed its socket yet shows as created for a moment.
                let start = self.command("start ID").output();
                if start.exit() != 0 {
                    start.fails_with(&["already running"]);
                }
            }
            "running" => {}
            status => panic!("the container is {status}"),
        }
        self.exec_works().ok();
        assert_eq!(self.status(false).as_deref(), Some("running"));
    }

    fn assert_nothing(&self) {
        assert_eq!(self.status(false), None);
        leaks::assert_none(self.t);
        assert!(!self.pid_file.exists(), "the pid file is left");
    }

    /// The process that could have removed it is gone; it must never be readable half-written.
    fn assert_whole_pid_file(&self) {
        if let Ok(text) = fs::read_to_string(&self.pid_file) {
            assert!(text.parse::<i32>().is_ok_and(|pid| pid > 1), "pid file: {text:?}");
        }
    }
}

fn command_is_killed_at_any_moment(t: &Test) {
    let stage = Stage::new(t);
    let skipped = usize::from(!has_criu(t));
    let subjects = &SUBJECTS[..SUBJECTS.len() - skipped];
    let lengths: HashMap<_, _> = subjects.iter().map(|each| (each.words, stage.length(each))).collect();
    let seed = seed();
    let mut random = Random::of(seed);
    for attempt in 0..attempts(SIGNALS.len() * subjects.len()) {
        let subject = &subjects[attempt % subjects.len()];
        let signal = SIGNALS[attempt / subjects.len() % SIGNALS.len()];
        let length = lengths[subject.words];
        // Including a little beyond its end.
        let moment = length.mul_f64(1.2 * random.fraction());
        let words = subject.words;
        let _shown = Shown(format!(
            "attempt {attempt}, {signal} to {words:?} after {moment:?} of {length:?}, seed {seed}"
        ));
        stage.set(subject.before);
        let running = stage.command(subject.words).spawn();
        sleep(moment);
        running.signal(signal);
        let output = running.output();
        let _output = Shown(output.to_string());
        stage.judge(subject, signal, &output);
        stage.end();
    }
}

/// The signal arrives during the very call that makes the state directory.
fn signal_after_the_state_directory_was_made_leaves_nothing(t: &Test) {
    if !can_trace(t) {
        return;
    }
    let stage = Stage::new(t);
    // From now on it is the first directory that a launch makes.
    t.create(&stage.bundle, "c").ok();
    stage.end();
    for subject in SUBJECTS.iter().filter(|subject| subject.before == Before::Nothing) {
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
            let inject = format!("inject=mkdir,mkdirat:signal={signal}:when=1");
            let strace =
                ["strace", "-D", "-qq", "-o", "/dev/null", "-e", "trace=mkdir,mkdirat", "-e", &inject];
            let _shown = Shown(format!("{signal} to {:?}", subject.words));
            let output = stage.command(subject.words).under(&strace).output();
            let _output = Shown(output.to_string());
            assert_ne!(output.exit(), 0, "{output}");
            stage.assert_nothing();
        }
    }
}

/// The container's child waits for a hook and reads no messages: it ends with the runtime nevertheless, and so does
/// the hook.
fn runtime_that_is_killed_while_a_hook_runs_takes_both_with_it(t: &Test) {
    let runs = t.open_directory("open").join("runs");
    let script = format!("echo >{}; exec sleep 1000000", runs.display());
    let mut bundle = t.bundle(&["true"]);
    bundle.set("/hooks/createContainer", json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]));
    for mapped in [false, true] {
        if mapped {
            // The kernel clears the parent-death signal when the ids change.
            bundle.mapped();
        }
        let running = t.rootling(&["create", "-b"]).arg(bundle.write().dir()).arg(t.id("c")).spawn();
        eventually("the hook runs", || runs.exists());
        running.signal(Signal::SIGKILL);
        drop(running.output());
        eventually("all processes have ended", || {
            !leaks::find(t.marker(), &[]).iter().any(|left| left.starts_with("process "))
        });
        t.delete_force("c").ok();
        fs::remove_file(&runs).expect("remove the hook's file");
    }
}
