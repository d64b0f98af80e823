//! The works that are timed, and memory.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rootling_tests::{chart, sys};

use crate::runtimes::{Cgroups, Runtime};
use crate::table::{self, Pairs, Row};

/// Where the works find what they need.
pub(crate) struct Place {
    pub(crate) work: PathBuf,
    pub(crate) single: PathBuf,
    pub(crate) ranges: Option<PathBuf>,
    pub(crate) seccomp: PathBuf,
    /// With [`BINDS`] bind mounts.
    pub(crate) binds: PathBuf,
    /// Bundles whose program does nothing for long.
    pub(crate) sleeping: PathBuf,
    pub(crate) sleeping_seccomp: PathBuf,
    /// With a `cgroupsPath` below a delegated cgroup, where there is one.
    pub(crate) by_path: Option<PathBuf>,
}

impl Place {
    /// The bundle for a kind of cgroup, where this machine has it.
    fn bundle_in(&self, cgroups: Cgroups) -> Option<&Path> {
        match cgroups {
            Cgroups::None => Some(&self.single),
            Cgroups::Path => self.by_path.as_deref(),
            Cgroups::Systemd => {
                let bus = std::env::var_os("XDG_RUNTIME_DIR").map(|dir| Path::new(&dir).join("bus"));
                let there = Path::new("/run/systemd/system").is_dir() && bus.is_some_and(|bus| bus.exists());
                there.then_some(&*self.single)
            }
        }
    }
}

/// A work: its name, one in how many of the pairs asked for it gets, what happens before and during the timing.
struct Work<'a> {
    name: String,
    one_in: usize,
    /// A peer that cannot do it is left out.
    needs: Option<(Cgroups, &'a Path)>,
    prepare: Box<dyn Fn(&Runtime) + 'a>,
    timed: Box<dyn Fn(&Runtime) -> Duration + 'a>,
}

impl<'a> Work<'a> {
    fn new(name: &str, one_in: usize, timed: impl Fn(&Runtime) -> Duration + 'a) -> Self {
        Self { name: name.to_owned(), one_in, needs: None, prepare: Box::new(|_| ()), timed: Box::new(timed) }
    }

    fn prepared(mut self, prepare: impl Fn(&Runtime) + 'a) -> Self {
        self.prepare = Box::new(prepare);
        self
    }
}

/// Bind mounts of the bundle that has many.
pub(crate) const BINDS: usize = 100;

/// Containers that run at once.
const AT_ONCE: usize = 64;

/// The table as a picture, in the working directory.
pub(crate) const CHART: &str = "chart.svg";

/// Pairs of each work, unless `ROOTLING_BENCH_RUNS` says otherwise.
const RUNS: usize = 100;

/// Times every work against every peer, prints the tables and draws the chart.
pub(crate) fn compare(ours: &Runtime, peers: &[Runtime], place: &Place) {
    let runs =
        std::env::var("ROOTLING_BENCH_RUNS").map_or(RUNS, |runs| runs.parse().expect("a number of runs"));
    println!("\nMedian times in milliseconds; {runs} pairs in turns, fewer of the long works.\n");
    let only = std::env::var("ROOTLING_BENCH_ONLY").unwrap_or_default();
    let mut rows = Vec::new();
    for work in works(place).into_iter().filter(|work| work.name.starts_with(&only)) {
        let by_path = matches!(work.needs, Some((Cgroups::Path, _)));
        for peer in peers.iter().filter(|peer| by_path || !peer.only_by_path) {
            if let Some((cgroups, bundle)) = work.needs
                && let Err(why) = peer.try_run_in(cgroups, bundle)
            {
                println!("{}: left out, {} cannot: {why}", work.name, peer.name);
                continue;
            }
            let pairs = in_turns(&work, runs.div_ceil(work.one_in), ours, peer);
            progress(&format!("{} against {}", work.name, peer.name));
            let mut row: Row = vec![work.name.clone(), peer.name.to_owned()];
            row.extend(pairs.summary());
            rows.push(row);
        }
        for runtime in peers.iter().chain([ours]) {
            let _ = runtime.command(&["delete", "-f", "sleeping"]).status();
            // Only stopped containers, which hold nothing but files.
            let _ = fs::remove_dir_all(&runtime.root);
        }
    }
    progress("");
    let times = table::render(&["work", "peer", "rootling", "of the peer", "ratio", "ratio of pairs"], &rows);
    print!("{times}");
    if !rows.is_empty() {
        fs::write(place.work.join(CHART), chart::draw(&chart::ratios(&times))).expect("write the chart");
    }
    println!("\nPeak resident set in KiB.\n");
    memory(ours, peers, place);
}

fn works(place: &Place) -> Vec<Work<'_>> {
    let run = |bundle: &'_ Path| {
        let bundle = bundle.to_string_lossy().into_owned();
        move |runtime: &Runtime| runtime.time(&["run", "-b", &bundle, "run"])
    };
    let mut works = vec![Work::new("run, one id", 1, run(&place.single))];
    if let Some(ranges) = &place.ranges {
        works.push(Work::new("run, ranges of ids", 1, run(ranges)));
    }
    for (name, cgroups) in
        [("run, cgroup by path", Cgroups::Path), ("run, scope of systemd", Cgroups::Systemd)]
    {
        let Some(bundle) = place.bundle_in(cgroups) else {
            println!("{name}: left out, this account has none here.");
            continue;
        };
        let path = bundle.to_string_lossy().into_owned();
        let mut work =
            Work::new(name, 1, move |runtime| runtime.time_in(cgroups, &["run", "-b", &path, "run"]));
        work.needs = Some((cgroups, bundle));
        works.push(work);
    }
    let single = place.single.to_string_lossy().into_owned();
    let bundle = single.clone();
    works.extend([
        Work::new("run, one id, seccomp", 1, run(&place.seccomp)),
        Work::new(&format!("run, {BINDS} bind mounts"), 1, run(&place.binds)),
        Work::new("create + start + delete", 1, move |runtime| {
            let create = runtime.time(&["create", "-b", &bundle, "life"]);
            create + runtime.time(&["start", "life"]) + runtime.time(&["delete", "-f", "life"])
        }),
    ]);
    for (name, bundle) in [("exec", &place.sleeping), ("exec, seccomp", &place.sleeping_seccomp)] {
        let bundle = bundle.to_string_lossy().into_owned();
        let exec = Work::new(name, 1, |runtime| runtime.time(&["exec", "sleeping", "true"]));
        works.push(exec.prepared(move |runtime| keep_running(runtime, &bundle)));
    }
    let bundle = single.clone();
    let state = Work::new("state", 1, |runtime| runtime.time(&["state", "0"]));
    works.push(state.prepared(move |runtime| leave_stopped(runtime, &bundle, 1)));
    for count in [10, 100, 1000] {
        let bundle = single.clone();
        let list = Work::new(&format!("list of {count}"), 3, |runtime| runtime.time(&["list", "-q"]));
        works.push(list.prepared(move |runtime| leave_stopped(runtime, &bundle, count)));
    }
    works.push(Work::new(&format!("{AT_ONCE} runs at once"), 10, move |runtime| at_once(runtime, &single)));
    works
}

/// Ours and theirs by turns; the first of each is not counted, it fills caches.
fn in_turns(work: &Work, pairs: usize, ours: &Runtime, theirs: &Runtime) -> Pairs {
    (work.prepare)(ours);
    (work.prepare)(theirs);
    let turn = || ((work.timed)(ours), (work.timed)(theirs));
    turn();
    let (ours, theirs) = (0..pairs).map(|_| turn()).unzip();
    Pairs { ours, theirs }
}

/// Sees to it that the container for `exec` runs, with this bundle.
fn keep_running(runtime: &Runtime, bundle: &str) {
    let _ = runtime.command(&["delete", "-f", "sleeping"]).status();
    runtime.time(&["run", "-d", "-b", bundle, "sleeping"]);
}

/// Sees to it that there are `count` stopped containers, named by their numbers.
fn leave_stopped(runtime: &Runtime, bundle: &str, count: usize) {
    for number in 0..count {
        let id = number.to_string();
        if !runtime.root.join(&id).exists() {
            // So many session keyrings at once would exceed an ordinary user's quota of keys.
            // A peer may fail when the program ends before it looks: not what is measured here.
            let made = (0..5).any(|_| {
                let status = runtime.command(&["run", "-d", "--no-new-keyring", "-b", bundle, &id]).status();
                let made = status.is_ok_and(|s| s.success());
                made || {
                    let _ = runtime.command(&["delete", "-f", &id]).status();
                    false
                }
            });
            assert!(made, "container {id} could not be left");
        }
    }
}

fn at_once(runtime: &Runtime, bundle: &str) -> Duration {
    let start = Instant::now();
    let running: Vec<_> = (0..AT_ONCE)
        .map(|number| runtime.start(&["run", "-b", bundle, &format!("at-once-{number}")]))
        .collect();
    for mut child in running {
        assert!(child.wait().expect("wait for a runtime").success(), "one of {AT_ONCE} runs failed");
    }
    start.elapsed()
}

/// Prints what each needs at most: `run` with all the processes that it waits for, and the process
/// that waits in a created container.
fn memory(ours: &Runtime, peers: &[Runtime], place: &Place) {
    let rows: Vec<Row> = std::iter::once(ours)
        .chain(peers.iter().filter(|peer| !peer.only_by_path))
        .map(|runtime| {
            let run = |bundle: &Path| {
                let words = runtime.words(&["run", "-b", &bundle.to_string_lossy(), "memory"]);
                peak(&words).to_string()
            };
            let (single, seccomp) = (run(&place.single), run(&place.seccomp));
            vec![runtime.name.to_owned(), single, seccomp, waiting(runtime, &place.single)]
        })
        .collect();
    print!("{}", table::render(&["runtime", "run", "run, seccomp", "waiting for start"], &rows));
    println!(
        "\nThe measuring itself shows as {} KiB, the least that can be seen.",
        peak(&["true".to_owned()])
    );
}

/// The peak of a created container's process before its program replaces it.
fn waiting(runtime: &Runtime, bundle: &Path) -> String {
    let file = runtime.root.join("pid");
    let (bundle, pid_file) = (bundle.to_string_lossy(), file.to_string_lossy());
    runtime.time(&["create", "--pid-file", &pid_file, "-b", &bundle, "memory"]);
    let pid = fs::read_to_string(&file).expect("the pid file");
    let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
    let peak = peak.unwrap_or("?").to_owned();
    runtime.time(&["delete", "-f", "memory"]);
    fs::remove_file(file).expect("remove the pid file");
    peak
}

/// The highest of five measurements in a process of its own (see `print_peak`).
fn peak(words: &[String]) -> i64 {
    let own = std::env::current_exe().expect("our own path");
    let measure = || {
        let output = Command::new(&own).arg("--peak").args(words).output().expect("start the measuring");
        String::from_utf8_lossy(&output.stdout).trim().parse::<i64>().expect("a number of KiB")
    };
    (0..5).map(|_| measure()).max().unwrap_or_default()
}

/// Runs a command and prints the peak of it and of what it waited for. The kernel counts what the
/// starting process had resident at its child's exec as the child's: so start from a small one.
pub(crate) fn print_peak(words: &[String]) {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (status, peak) = sys::run_with_peak(&mut command).expect("run the command");
    assert!(status == 0, "wait status {status}: {}", words.join(" "));
    println!("{peak}");
}

/// Overwrites a line on the terminal, if there is one.
fn progress(text: &str) {
    use std::io::IsTerminal;
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[K{text}");
    }
}
