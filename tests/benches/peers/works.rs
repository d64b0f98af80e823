//! The works whose time is measured, and memory.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rootling_tests::chart;

use crate::layouts::Layout;
use crate::memory;
use crate::runtimes::{Cgroups, Runtime};
use crate::table::{self, Pairs, Row};
use crate::tools::{self, Tool};

/// The directories in which the works find what they need.
pub(crate) struct Place {
    pub(crate) work: PathBuf,
    /// In memory.
    pub(crate) state: PathBuf,
    pub(crate) single: PathBuf,
    pub(crate) ranges: Option<PathBuf>,
    pub(crate) seccomp: PathBuf,
    /// The bundle with [`BINDS`] bind mounts.
    pub(crate) binds: PathBuf,
    /// Bundles whose program does nothing for a long time.
    pub(crate) sleeping: PathBuf,
    pub(crate) sleeping_seccomp: PathBuf,
    /// The bundle with a `cgroupsPath` below a delegated cgroup, if there is one.
    pub(crate) by_path: Option<PathBuf>,
}

impl Place {
    /// The bundle for a kind of cgroup, if this machine has that.
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

type Beside<'a> = dyn Fn(&Runtime) -> Vec<Tool> + 'a;

/// A work: its name, the fraction of the requested pairs that it gets, and what happens before and during the
/// measurement.
struct Work<'a> {
    name: String,
    one_in: usize,
    /// What it needs; a peer that cannot do it is left out.
    needs: Option<(Cgroups, &'a Path)>,
    prepare: Box<dyn Fn(&Runtime) + 'a>,
    timed: Box<dyn Fn(&Runtime) -> Duration + 'a>,
    /// Programs that do a part of it, determined once the runtime is prepared.
    beside: Box<Beside<'a>>,
}

impl<'a> Work<'a> {
    fn new(name: &str, one_in: usize, timed: impl Fn(&Runtime) -> Duration + 'a) -> Self {
        Self {
            name: name.to_owned(),
            one_in,
            needs: None,
            prepare: Box::new(|_| ()),
            timed: Box::new(timed),
            beside: Box::new(|_| Vec::new()),
        }
    }

    fn prepared(mut self, prepare: impl Fn(&Runtime) + 'a) -> Self {
        self.prepare = Box::new(prepare);
        self
    }

    fn beside(mut self, tools: impl Fn(&Runtime) -> Vec<Tool> + 'a) -> Self {
        self.beside = Box::new(tools);
        self
    }
}

/// The number of bind mounts in the bundle that has many.
pub(crate) const BINDS: usize = 100;

/// The number of containers that run at the same time.
const AT_ONCE: usize = 64;

/// The file name of the table as a picture, in the working directory.
pub(crate) const CHART: &str = "chart.svg";

/// The number of pairs for each work, unless `ROOTLING_BENCH_RUNS` says otherwise.
const RUNS: usize = 100;

/// Measures every work with every peer, prints the tables and draws the chart.
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
            (work.prepare)(ours);
            (work.prepare)(peer);
            let theirs =
                Theirs { name: peer.name, choose: &|l| peer.choose(l), time: &|| (work.timed)(peer) };
            rows.push(worst(&work, runs, ours, &theirs));
        }
        (work.prepare)(ours);
        for tool in (work.beside)(ours) {
            let theirs = Theirs { name: tool.name, choose: &|l| tool.choose(l), time: &|| tool.time() };
            rows.push(worst(&work, runs, ours, &theirs));
        }
        for runtime in peers.iter().chain([ours]) {
            let _ = runtime.command(&["delete", "-f", "sleeping"]).status();
            // Only stopped containers are left, which consist of files.
            let _ = fs::remove_dir_all(&runtime.root);
        }
    }
    progress("");
    let head = ["work", "peer", "layout", "rootling", "of the peer", "ratio", "ratio of pairs"];
    let times = table::render(&head, &rows);
    print!("{times}");
    if !rows.is_empty() {
        fs::write(place.work.join(CHART), chart::draw(&chart::ratios(&times))).expect("write the chart");
    }
    memory::compare(ours, peers, place);
}

fn works(place: &Place) -> Vec<Work<'_>> {
    let run = |bundle: &'_ Path| {
        let bundle = bundle.to_string_lossy().into_owned();
        move |runtime: &Runtime| runtime.time(&["run", "-b", &bundle, "run"])
    };
    let rootfs = place.single.join("rootfs");
    let (tools, bare) = (rootfs.clone(), &place.work);
    let mut works = vec![
        Work::new("run, one id", 1, run(&place.single)).beside(move |_| tools::beside_run(bare, &tools)),
    ];
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
        Work::new("run, one id, seccomp", 1, run(&place.seccomp))
            .beside(move |_| tools::beside_run_with_seccomp(bare, &rootfs)),
        Work::new(&format!("run, {BINDS} bind mounts"), 1, run(&place.binds)),
        Work::new("create + start + delete", 1, move |runtime| {
            let create = runtime.time(&["create", "-b", &bundle, "life"]);
            create + runtime.time(&["start", "life"]) + runtime.time(&["delete", "-f", "life"])
        }),
    ]);
    for (name, bundle) in [("exec", &place.sleeping), ("exec, seccomp", &place.sleeping_seccomp)] {
        let bundle = bundle.to_string_lossy().into_owned();
        let exec = Work::new(name, 1, |runtime| runtime.time(&["exec", "sleeping", "true"]));
        let exec = exec.prepared(move |runtime| keep_running(runtime, &bundle));
        // nsenter does not support filters.
        let plain = name == "exec";
        works.push(exec.beside(move |runtime| match runtime.pid("sleeping") {
            Some(pid) if plain => tools::beside_exec(bare, pid),
            _ => Vec::new(),
        }));
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

/// A runtime or a tool to compare with.
struct Theirs<'a> {
    name: &'static str,
    choose: &'a dyn Fn(Layout),
    time: &'a dyn Fn() -> Duration,
}

/// The row of the layout in which we compare worst, since all of them occur on users' machines.
fn worst(work: &Work, runs: usize, ours: &Runtime, theirs: &Theirs<'_>) -> Row {
    progress(&format!("{} against {}", work.name, theirs.name));
    let pairs = runs.div_ceil(work.one_in);
    let measured = Layout::ALL.map(|layout| {
        ours.choose(layout);
        (theirs.choose)(layout);
        (layout, in_turns(pairs, &|| (work.timed)(ours), theirs.time))
    });
    ours.choose(Layout::Copied);
    (theirs.choose)(Layout::Copied);
    let (layout, pairs) =
        measured.iter().max_by(|(_, a), (_, b)| a.ratio().total_cmp(&b.ratio())).expect("a layout");
    let mut row: Row = vec![work.name.clone(), theirs.name.to_owned(), layout.name().to_owned()];
    row.extend(pairs.summary());
    row
}

/// Runs ours and theirs alternately; the first pair fills caches and is not counted.
fn in_turns(pairs: usize, ours: &dyn Fn() -> Duration, theirs: &dyn Fn() -> Duration) -> Pairs {
    let turn = || (ours(), theirs());
    turn();
    let (ours, theirs) = (0..pairs).map(|_| turn()).unzip();
    Pairs { ours, theirs }
}

/// Makes sure that the container for `exec` is running, with this bundle.
fn keep_running(runtime: &Runtime, bundle: &str) {
    let _ = runtime.command(&["delete", "-f", "sleeping"]).status();
    runtime.time(&["run", "-d", "-b", bundle, "sleeping"]);
}

/// Makes sure that there are `count` stopped containers, named by their numbers.
fn leave_stopped(runtime: &Runtime, bundle: &str, count: usize) {
    for number in 0..count {
        let id = number.to_string();
        if !runtime.root.join(&id).exists() {
            // This many session keyrings at once would exceed an ordinary user's key quota. A peer may fail if the
            // program ends before it is examined, which is not what is measured.
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

/// Overwrites a line on the terminal, if there is one.
fn progress(text: &str) {
    use std::io::IsTerminal;
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[K{text}");
    }
}
