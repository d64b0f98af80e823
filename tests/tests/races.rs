//! 64 simultaneous callers run random commands on a few containers. Each command does its work, or says in one line
//! which other command was faster; nothing hangs, no two programs have the same container, and nothing is left.
//!
//! The seed is shown with a failure; `ROOTLING_SEED` repeats its choices as far as the machine permits.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use rootling_tests::{Bundle, Output, Random, Shown, Test, attempts, both, can_trace, eventually, seed};

both!(
    random_commands_of_64_callers,
    container_that_run_makes_is_not_taken_for_running,
    create_does_not_take_the_directory_of_the_next_one,
);

const CALLERS: usize = 64;
const CONTAINERS: usize = 6;
/// More than a machine with an emulated processor needs.
const LIMIT: Duration = Duration::from_mins(40);

/// What a caller does. Commands that make something are as frequent as those that need it.
const COMMANDS: [&str; 18] = [
    "create",
    "create",
    "create",
    "create",
    "start",
    "start",
    "start",
    "run",
    "exec",
    "exec",
    "pause",
    "resume",
    "resume",
    "update",
    "kill",
    "delete",
    "delete -f",
    "state",
];
const LIST: &str = "list";

/// What a command may report if another one was faster, and which. Everything else is a failure of the test; above
/// all, no container may be called damaged because it is just being made or removed.
const ALLOWED: &[(&str, &str)] = &[
    // Somebody has removed it, or nobody has made it.
    ("", "does not exist in \""),
    // Somebody is just making or removing it.
    ("", "is being created or removed by another command"),
    // Somebody else has made it.
    ("create", "already exists: choose another id"),
    ("run", "already exists: choose another id"),
    // `delete -f` has found what looked as if its creator had been killed.
    ("create", "was removed by another command while it was created"),
    ("run", "was removed by another command while it was created"),
    // `kill` also reaches a container that is being made.
    ("create", "the container's first process was killed by SIGKILL"),
    ("run", "the container's first process was killed by SIGKILL"),
    // The command does not apply to its state.
    ("start", "cannot start a container that has stopped"),
    ("start", "cannot start a container that is paused"),
    ("start", "cannot start an already running container"),
    ("start", "is still being created"),
    ("exec", "cannot exec in a container that is still being created"),
    ("exec", "cannot exec in a paused container"),
    ("exec", "cannot exec in a stopped container"),
    ("kill", "has stopped, and no process is left to get signal 9"),
    ("pause", "so there is nothing to pause"),
    ("resume", "so there is nothing to resume"),
    ("update", "and only the limits of a running container can be changed"),
    ("delete", "that is not stopped: creating"),
    ("delete", "that is not stopped: paused"),
    ("delete", "that is not stopped: running"),
    // Its first process has ended meanwhile.
    ("exec", "the container's first process has ended, or the kernel is out of memory"),
    // It was released, but has not executed its program yet.
    ("exec", "lets only root look at it: start it first"),
    // Its first process was killed, and with it the process that joined it.
    ("exec", "was killed by SIGKILL"),
    // `resume` has come in between.
    ("pause", "something else has thawed it at the same time, such as resume or kill; try again"),
    // Its cgroup is gone, together with the container.
    ("pause", "the cgroup has been removed"),
    ("resume", "the cgroup has been removed"),
    ("update", "the cgroup has been removed"),
    // An ordinary user's container has no cgroup.
    ("pause", "freeze needs a cgroup and this container runs without one"),
    ("update", "which this container has no cgroup for"),
];

/// A name for which callers compete.
struct Target {
    id: String,
    bundle: Bundle,
    deletes_begun: AtomicUsize,
    deletes_now: AtomicUsize,
}

struct Arena<'a> {
    t: &'a Test,
    targets: Vec<Target>,
    /// How many containers have been made; below, how many are to be made.
    made: AtomicUsize,
    wanted: usize,
    begun: Instant,
    finished: AtomicUsize,
    /// For each kind of command and its output: how often it occurred, with one full example.
    wrong: Mutex<BTreeMap<String, usize>>,
    done: Mutex<BTreeMap<&'static str, usize>>,
}

impl<'a> Arena<'a> {
    fn new(t: &'a Test) -> Self {
        let first = t.bundle(&["true"]);
        t.with_probe(&first);
        // Listing a directory that does not exist is an error of its own.
        t.command("mkdir").arg(t.state_root()).output().ok();
        let targets = (0..CONTAINERS).map(|number| Target::new(t, &first, number)).collect();
        Self {
            t,
            targets,
            made: AtomicUsize::new(0),
            // `make stress` makes 3000.
            wanted: 3 * attempts(40),
            begun: Instant::now(),
            finished: AtomicUsize::new(0),
            wrong: Mutex::default(),
            done: Mutex::default(),
        }
    }

    fn goes_on(&self) -> bool {
        self.made.load(Ordering::SeqCst) < self.wanted && self.begun.elapsed() < LIMIT
    }

    fn caller(&self, mut random: Random) {
        let _finished = Finished(&self.finished);
        while self.goes_on() {
            let target = random.of_list(&self.targets);
            let command = random.of_list(&COMMANDS);
            if let Err(what) = self.turn(target, command) {
                let mut wrong = self.wrong.lock().expect("the list of failures");
                *wrong.entry(what.replace(&target.id, "ID")).or_default() += 1;
            }
        }
    }

    fn turn(&self, target: &Target, command: &'static str) -> Result<(), String> {
        let output = match command {
            "delete" | "delete -f" => target.delete(self.t, command),
            "create" | "run" => self.make(target, command)?,
            "state" if self.made.load(Ordering::SeqCst).is_multiple_of(2) => {
                return self.list();
            }
            other => self.t.rootling(&target.words(other)).output(),
        };
        judge(command, &output)?;
        if output.exit() == 0 {
            *self.done.lock().expect("the list of successes").entry(command).or_default() += 1;
        }
        Ok(())
    }

    /// A container that was made exists, unless somebody has removed it meanwhile.
    fn make(&self, target: &Target, command: &str) -> Result<Output, String> {
        let deletes = target.deletes_begun.load(Ordering::SeqCst);
        let quiet = target.deletes_now.load(Ordering::SeqCst) == 0;
        let output = self.t.rootling(&target.words(command)).output();
        if output.exit() != 0 {
            return Ok(output);
        }
        self.made.fetch_add(1, Ordering::SeqCst);
        let state = self.t.rootling(&target.words("state")).output();
        let untouched = quiet && target.deletes_begun.load(Ordering::SeqCst) == deletes;
        if untouched && state.exit() != 0 {
            return Err(format!("nobody has removed it, but {state}\nafter {output}"));
        }
        judge("state", &state)?;
        Ok(output)
    }

    fn list(&self) -> Result<(), String> {
        let output = self.t.rootling(&["list", "-f", "json"]).output();
        let known = |id: &str| self.targets.iter().any(|target| target.id == id);
        let right = output.exit() == 0 && output.stderr.is_empty();
        let entries = if right { output.json() } else { return Err(format!("{LIST}: {output}")) };
        let entries = entries.as_array().cloned().unwrap_or_default();
        let ids: Vec<_> = entries.iter().map(|entry| entry["id"].as_str().unwrap_or_default()).collect();
        if ids.iter().all(|id| known(id)) { Ok(()) } else { Err(format!("{LIST}: {output}")) }
    }
}

impl Target {
    fn new(t: &Test, first: &Bundle, number: usize) -> Self {
        let mut bundle = first.sibling(t, &["probe", "own", "/place/lock", "/place/others"]);
        let place = t.open_directory(&format!("place{number}"));
        bundle.mount("/place", "bind", &place.to_string_lossy(), &["bind"]).write();
        let id = t.id(&format!("c{number}"));
        Self { id, bundle, deletes_begun: AtomicUsize::new(0), deletes_now: AtomicUsize::new(0) }
    }

    fn words(&self, command: &str) -> Vec<String> {
        let dir = self.bundle.dir().display().to_string();
        let words = match command {
            "create" => vec!["create", "-b", &dir, &self.id],
            "run" => vec!["run", "-d", "-b", &dir, &self.id],
            "exec" => vec!["exec", &self.id, "true"],
            "update" => vec!["update", "--pids-limit", "100", &self.id],
            "kill" => vec!["kill", &self.id, "KILL"],
            "delete -f" => vec!["delete", "-f", &self.id],
            other => vec![other, &self.id],
        };
        words.into_iter().map(str::to_owned).collect()
    }

    fn delete(&self, t: &Test, command: &str) -> Output {
        self.deletes_begun.fetch_add(1, Ordering::SeqCst);
        self.deletes_now.fetch_add(1, Ordering::SeqCst);
        let output = t.rootling(&self.words(command)).output();
        self.deletes_now.fetch_sub(1, Ordering::SeqCst);
        output
    }
}

/// Counts a caller that has ended for any reason.
struct Finished<'a>(&'a AtomicUsize);

impl Drop for Finished<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn judge(command: &str, output: &Output) -> Result<(), String> {
    let said = output.stderr.as_str();
    let allowed = match output.exit() {
        0 => said.is_empty(),
        // The program of exec was executed, and killed with the container.
        137 if command == "exec" && said.is_empty() => true,
        code => {
            let knows = |&(of, text): &(&str, &str)| (of.is_empty() || of == command) && said.contains(text);
            code > 0 && said.lines().count() == 1 && output.stdout.is_empty() && ALLOWED.iter().any(knows)
        }
    };
    if allowed { Ok(()) } else { Err(format!("{command}: exit {}: {said}{}", output.exit(), output.stdout)) }
}

fn random_commands_of_64_callers(t: &Test) {
    let arena = Arena::new(t);
    let seed = seed();
    let _shown = Shown(format!("seed {seed}"));
    scope(|threads| {
        for number in 0..CALLERS as u64 {
            let random = Random::of(seed.wrapping_add(number));
            let arena = &arena;
            threads.spawn(move || arena.caller(random));
        }
        // A start waits for as long as its container is paused, and in the end nobody else resumes it.
        while arena.finished.load(Ordering::SeqCst) < CALLERS {
            sleep(Duration::from_millis(200));
            if !arena.goes_on() {
                arena.targets.iter().for_each(|target| drop(t.rootling(&target.words("delete -f")).output()));
            }
        }
    });
    let made = arena.made.load(Ordering::SeqCst);
    let done = arena.done.lock().expect("the list of successes");
    println!("{made} containers in {:?}: {done:?}", arena.begun.elapsed());
    let wrong = arena.wrong.lock().expect("the list of failures");
    let all: Vec<_> = wrong.iter().map(|(what, times)| format!("{times} times: {what}")).collect();
    assert!(all.is_empty(), "{}", all.join("\n"));
    assert!(made >= arena.wanted, "{made} of {} containers within {LIMIT:?}", arena.wanted);
    for (number, target) in arena.targets.iter().enumerate() {
        t.rootling(&target.words("delete -f")).output().ok();
        let others = t.path(&format!("place{number}")).join("others");
        assert!(!others.exists(), "two programs had {} at once", target.id);
        assert!(fs::exists(others.with_file_name("lock")).expect("look"), "no program of {}", target.id);
    }
}

/// The launch is delayed before the container has its root: exec would run a program of wherever it is then.
fn container_that_run_makes_is_not_taken_for_running(t: &Test) {
    if !can_trace(t) {
        return;
    }
    let bundle = t.bundle(&["true"]);
    let inject = "inject=pivot_root:delay_enter=300000";
    let strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=pivot_root", "-e", inject];
    let run = t.rootling(&["run", "-b"]).arg(bundle.write().dir()).arg(t.id("c")).under(&strace).spawn();
    eventually("it has a first process", || t.state_root().join(t.id("c")).join("process.json").exists());
    let status = t.status("c");
    let exec = t.exec::<&str>(&[], "c", &["true"]).output();
    run.output().ok();
    assert_eq!(status, "creating", "while it was made; {exec}");
    exec.fails_with(&["still being created"]);
}

/// A create loses its directory between making and opening it: the one that it finds by that name belongs to
/// another container, whose record it would overwrite and whose processes would become nobody's.
fn create_does_not_take_the_directory_of_the_next_one(t: &Test) {
    if !can_trace(t) {
        return;
    }
    let bundle = t.bundle(&["sleep", "1000000"]);
    // The store exists, so this is the first directory that a create makes.
    t.create(bundle.sibling(t, &["true"]).write(), "other").ok();
    let inject = "inject=mkdirat:delay_exit=1500000:when=1";
    let strace = ["strace", "-qq", "-o", "/dev/null", "-e", "trace=mkdirat", "-e", inject];
    let late = t.rootling(&["create", "-b"]).arg(bundle.write().dir()).arg(t.id("c")).under(&strace).spawn();
    eventually("its directory is there", || t.state_root().join(t.id("c")).exists());
    t.delete_force("c").ok();
    t.run_detached(&bundle, "c").ok();
    let pid = t.state("c")["pid"].clone();
    late.output().fails_with(&["already exists: choose another id"]);
    assert_eq!((t.status("c").as_str(), &t.state("c")["pid"]), ("running", &pid));
    t.delete_force("c").ok();
    t.delete_force("other").ok();
}
