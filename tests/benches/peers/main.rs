//! Compares rootling with crun, runc and youki: the same bundle and the same work, alternating.
//!
//! `make bench`, or `cargo bench -p rootling-tests --bench peers` after a release build.
//! `ROOTLING_BENCH_RUNS` sets the number of pairs for each work; `ROOTLING_BENCH_ONLY` is the beginning of the name
//! of the works to measure; `ROOTLING_BENCH_CHART` is the file for the table as a chart.
//!
//! The program runs in three modes: `outside` prepares bundles and becomes the ordinary user if root started it;
//! `inside` measures; `usage` starts one command and reports its memory, from a process so small that what the
//! kernel carries over from it does not count.

mod layouts;
mod memory;
mod profile;
mod runtimes;
mod table;
mod tools;
mod works;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use rootling_tests::{Test, Who};

/// What `outside` passes to `inside` in the environment.
const BINARY: &str = "BENCH_BINARY";
const WORK: &str = "BENCH_WORK";
const STATE: &str = "BENCH_STATE";
const SINGLE: &str = "BENCH_SINGLE";
const RANGES: &str = "BENCH_RANGES";
const SECCOMP: &str = "BENCH_SECCOMP";
const BY_PATH: &str = "BENCH_BY_PATH";
const BINDS: &str = "BENCH_BINDS";
const SLEEPING: &str = "BENCH_SLEEPING";
const SLEEPING_SECCOMP: &str = "BENCH_SLEEPING_SECCOMP";

/// crun refuses a machine with cgroup v1, and is designed for cgroup v2: every runtime gets a mount namespace with
/// only v2.
const V2_ONLY: &str = "umount -l /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec \"$@\"";

/// Gives the account a cgroup as systemd would: the process is in one leaf, with room for others next to it.
const DELEGATE: &str = "c=/sys/fs/cgroup/$BENCH_CGROUP && mkdir -p $c/session && chown -R $BENCH_OWNER $c && \
                        echo $$ >$c/session/cgroup.procs && exec \"$@\"";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("--inside") => inside(),
        Some("--usage") => memory::print_usage(&arguments[2..]),
        _ => return outside(),
    }
    ExitCode::SUCCESS
}

fn outside() -> ExitCode {
    let test = match Test::new(Who::User) {
        Ok(test) => test,
        Err(why) => {
            eprintln!("no benchmark here: {why}");
            return ExitCode::FAILURE;
        }
    };
    let account = test.account().clone();
    let single = test.bundle(&["true"]);
    single.write();
    let mut seccomp = single.sibling(&test, &["true"]);
    seccomp.set("/linux/seccomp", profile::docker_sized()).write();
    let sleeping = single.sibling(&test, &["sleep", "1000000"]);
    sleeping.write();
    let mut sleeping_seccomp = single.sibling(&test, &["sleep", "1000000"]);
    sleeping_seccomp.set("/linux/seccomp", profile::docker_sized()).write();
    let mut binds = single.sibling(&test, &["true"]);
    binds.bind_files(&test, works::BINDS).write();

    lay_programs(&test);
    let words = to_be_inside(&test);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir(test.path(""));
    if nix::unistd::geteuid().is_root() {
        let mut by_path = single.sibling(&test, &["true"]);
        by_path.set("/linux/cgroupsPath", format!("/{}/box", test.marker()).into()).write();
        command.env(BY_PATH, by_path.dir()).env("BENCH_CGROUP", test.marker());
        command.env("BENCH_OWNER", format!("{}:{}", account.uid, account.gid));
    }
    command.env(BINARY, test.binary()).env(WORK, test.path("")).env(SINGLE, single.dir());
    command
        .env(SECCOMP, seccomp.dir())
        .env(BINDS, binds.dir())
        .env(SLEEPING, sleeping.dir())
        .env(SLEEPING_SECCOMP, sleeping_seccomp.dir())
        .env("HOME", &account.home)
        .env("USER", &account.name);
    command.env("ROOTLING_TEST", test.marker());
    if let Some(dir) = &account.runtime_dir {
        command.env("XDG_RUNTIME_DIR", dir);
    }
    match account.ranges() {
        Some(ids) => {
            let mut ranges = single.sibling(&test, &["true"]);
            ranges.ids(ids).write();
            command.env(RANGES, ranges.dir());
        }
        None => println!("Without the work with ranges: {} has none in /etc/subuid.", account.name),
    }
    let state = state_of(&test);
    command.env(STATE, &state);
    let status = command.status().expect("start the measuring");
    std::fs::remove_dir_all(&state).expect("remove the state");
    rootling_tests::leaks::remove_cgroups(test.marker());
    keep_chart(&test.path(works::CHART));
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Where the runtimes keep their state: in memory, as in the directory of a session.
fn state_of(test: &Test) -> PathBuf {
    let account = test.account();
    let memory = Path::new("/dev/shm");
    let state =
        account.runtime_dir.as_deref().unwrap_or(memory).join(format!("rootling-bench-{}", test.marker()));
    std::fs::create_dir(&state).expect("make the directory for the state");
    std::os::unix::fs::chown(&state, Some(account.uid), Some(account.gid)).expect("chown");
    state
}

/// Copies the programs that are compared while this still is root, if it is.
fn lay_programs(test: &Test) {
    let names = runtimes::PEERS.iter().map(|(name, _)| *name).chain(tools::NAMES);
    let installed = names.filter_map(runtimes::in_path);
    for program in std::iter::once(test.binary().to_owned()).chain(installed) {
        layouts::Program::copied(&program, &test.path(""));
    }
}

/// The command that executes this program as the ordinary user.
fn to_be_inside(test: &Test) -> Vec<String> {
    let program = test.path("peers");
    std::fs::copy(std::env::current_exe().expect("our own path"), &program).expect("copy this program");
    let account = test.account();
    let mut words: Vec<String> = Vec::new();
    if nix::unistd::geteuid().is_root() {
        if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
            println!("This machine has cgroup v1: all run in a mount namespace with v2 alone.");
            words.extend(["unshare", "-m", "sh", "-c", V2_ONLY, "sh"].map(str::to_owned));
        }
        words.extend(["sh", "-c", DELEGATE, "sh"].map(str::to_owned));
        let (uid, gid) = (account.uid.to_string(), account.gid.to_string());
        words.extend(["setpriv", "--reuid", &uid, "--regid", &gid, "--clear-groups"].map(str::to_owned));
    }
    words.extend([program.display().to_string(), "--inside".to_owned()]);
    words
}

/// Moves the chart, which the ordinary user has drawn, to where the caller wants it.
fn keep_chart(drawn: &Path) {
    let Some(kept) = std::env::var_os("ROOTLING_BENCH_CHART").map(PathBuf::from) else { return };
    // Without a peer nothing is compared, and there is no chart.
    if drawn.exists() {
        std::fs::copy(drawn, &kept).expect("keep the chart");
        println!("The chart of the ratios of pairs: {}", kept.display());
    }
}

fn inside() {
    let path = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let binary = path(BINARY).expect("the binary");
    let place = works::Place {
        work: path(WORK).expect("the working directory"),
        state: path(STATE).expect("the directory for the state"),
        single: path(SINGLE).expect("the bundle"),
        ranges: path(RANGES),
        seccomp: path(SECCOMP).expect("the bundle with seccomp"),
        by_path: path(BY_PATH),
        binds: path(BINDS).expect("the bundle with bind mounts"),
        sleeping: path(SLEEPING).expect("the bundle for exec"),
        sleeping_seccomp: path(SLEEPING_SECCOMP).expect("the bundle for exec with seccomp"),
    };
    let size = std::fs::metadata(&binary).expect("stat of the binary").len();
    let (ours, peers) = runtimes::find(&binary, &place);
    works::compare(&ours, &peers, &place);
    println!("Size of the binary: {} KiB.", size >> 10);
}
