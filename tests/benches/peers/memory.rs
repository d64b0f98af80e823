//! What each runtime needs besides time: memory, page faults and system calls.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rootling_tests::sys;

use crate::layouts::Layout;
use crate::runtimes::{Runtime, in_path};
use crate::table::{self, Row};
use crate::tools::{self, Tool};
use crate::works::Place;

/// Prints the tables of what each runtime needs: for `run` with all processes that it waits for, and for the
/// waiting process of a created container.
pub(crate) fn compare(ours: &Runtime, peers: &[Runtime], place: &Place) {
    println!("\nPeak resident set in KiB, the highest of the three layouts.\n");
    let runtimes = || std::iter::once(ours).chain(peers.iter().filter(|peer| !peer.only_by_path));
    let rows: Vec<Row> = runtimes()
        .map(|runtime| {
            let run = |bundle: &Path| {
                let words = || runtime.words(&["run", "-b", &bundle.to_string_lossy(), "memory"]);
                highest(|layout| runtime.choose(layout), &|| peak(&words())).to_string()
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

    println!("\nPage faults of a run, the most of the three layouts, and its system calls.\n");
    let mut rows: Vec<Row> = runtimes()
        .map(|runtime| {
            let words = || runtime.words(&["run", "-b", &place.single.to_string_lossy(), "counted"]);
            let faults = highest(|layout| runtime.choose(layout), &|| faults(&words()));
            vec![runtime.name.to_owned(), faults.to_string(), calls(place, &words())]
        })
        .collect();
    let tools = tools::beside_run(&place.work, &place.single.join("rootfs"));
    rows.extend(tools.iter().map(|tool: &Tool| {
        let faults = highest(|layout| tool.choose(layout), &|| faults(&tool.line()));
        vec![tool.name.to_owned(), faults.to_string(), calls(place, &tool.line())]
    }));
    print!("{}", table::render(&["program", "page faults", "system calls"], &rows));
}

fn highest(choose: impl Fn(Layout), measure: &dyn Fn() -> i64) -> i64 {
    let values = Layout::ALL.map(|layout| {
        choose(layout);
        measure()
    });
    choose(Layout::Copied);
    values.into_iter().max().unwrap_or_default()
}

/// The peak memory of a created container's process before its program replaces it.
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

/// The highest of five measurements.
fn peak(words: &[String]) -> i64 {
    (0..5).map(|_| usage(words).0).max().unwrap_or_default()
}

/// The median of five measurements, after one that fills caches.
fn faults(words: &[String]) -> i64 {
    usage(words);
    let mut all: Vec<_> = (0..5).map(|_| usage(words).1).collect();
    all.sort_unstable();
    all[2]
}

/// The peak memory and the page faults, measured in a separate process (see [`print_usage`]).
fn usage(words: &[String]) -> (i64, i64) {
    let own = std::env::current_exe().expect("our own path");
    let output = Command::new(&own).arg("--usage").args(words).output().expect("start the measuring");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().map(|number| number.parse::<i64>().expect("a number"));
    (numbers.next().expect("a peak"), numbers.next().expect("page faults"))
}

/// Runs a command, and prints the peak memory and the page faults of the command and of what it has waited for. The
/// kernel counts what the starting process had resident at its child's exec as the child's, so a small process
/// starts it.
pub(crate) fn print_usage(words: &[String]) {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let usage = sys::run_with_usage(&mut command).expect("run the command");
    assert!(usage.status == 0, "wait status {}: {}", usage.status, words.join(" "));
    println!("{} {}", usage.peak, usage.faults);
}

/// The number of system calls that a command and its descendants make, as counted by strace.
fn calls(place: &Place, words: &[String]) -> String {
    let Some(strace) = in_path("strace") else { return "-".to_owned() };
    let file = place.work.join("calls");
    let mut command = Command::new(strace);
    command.args(["-f", "-qq", "-e", "signal=none", "-o"]).arg(&file).args(words);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.expect("start strace").success(), "under strace: {}", words.join(" "));
    let text = String::from_utf8_lossy(&fs::read(&file).expect("read the calls")).into_owned();
    // A call that another process interrupts takes two lines.
    text.lines().filter(|line| !line.contains(" resumed>")).count().to_string()
}
