//! Checks that nothing is left: no process, mount, cgroup or state.
//!
//! Everything that a test makes carries the test's marker, which begins with that of the run: a directory in its
//! path, a container in its id, a process in its arguments, its environment or the paths that it has mounted.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::holds_within;
use crate::{Account, Test};

/// How long a killed process may take to disappear; the kernel may be slow in taking down namespaces.
const SETTLE: Duration = Duration::from_secs(20);

/// Where cgroups are mounted.
const CGROUPS: &str = "/sys/fs/cgroup";

/// The part of the marker that all tests of a run share. `ROOTLING_TEST_RUN` sets it, so that the last test can
/// look for what any of them has left.
pub fn run_marker() -> &'static str {
    static RUN: OnceLock<String> = OnceLock::new();
    RUN.get_or_init(|| std::env::var("ROOTLING_TEST_RUN").unwrap_or_else(|_| "rootling-it".to_owned()))
}

/// Asserts that nothing of `test` is left except for its directory.
pub fn assert_none(test: &Test) {
    let left = left(test);
    assert!(left.is_empty(), "left behind:\n{}", left.join("\n"));
}

/// What is left of `test` except for its directory.
pub(crate) fn left(test: &Test) -> Vec<String> {
    let mut left = Vec::new();
    holds_within(SETTLE, || {
        left = find(test.marker(), &[test.account().clone()]);
        left.extend(entries(&test.state_root(), test.marker()));
        left.is_empty()
    });
    left
}

/// What `find` returns, and the directories of tests that were not removed: for all tests of a run.
pub fn find_of_run(accounts: &[Account]) -> Vec<String> {
    let mut left = find(run_marker(), accounts);
    left.extend(entries(&std::env::temp_dir(), run_marker()));
    left
}

/// Lists processes, mounts, cgroups and state with `marker`, where `accounts` would keep state.
pub fn find(marker: &str, accounts: &[Account]) -> Vec<String> {
    let mut left: Vec<_> =
        processes(marker).into_iter().map(|(pid, what)| format!("process {pid}: {what}")).collect();
    left.extend(mounts(marker));
    let mut paths = Vec::new();
    cgroups(Path::new(CGROUPS), marker, &mut paths);
    left.extend(paths.iter().map(|path| format!("cgroup {}", path.display())));
    for account in accounts {
        let run = Path::new("/run/user").join(account.uid.to_string());
        for dir in [Some(run), account.runtime_dir.clone(), Some("/run".into())].into_iter().flatten() {
            left.extend(entries(&dir.join("rootling"), marker));
        }
    }
    left.dedup();
    left
}

/// Our mounts, and cgroups of the test's containers. Cgroups that are named after its marker, which the test has
/// made for them, are not included.
pub(crate) fn of_containers(test: &Test) -> Vec<String> {
    let mut left = mounts(test.marker());
    let mut paths = Vec::new();
    cgroups(Path::new(CGROUPS), test.marker(), &mut paths);
    paths.retain(|path| !path.ends_with(test.marker()));
    left.extend(paths.iter().map(|path| format!("cgroup {}", path.display())));
    left
}

/// Kills every process with `marker` and removes its cgroups, as far as possible.
pub(crate) fn clean_up(marker: &str) {
    holds_within(SETTLE, || {
        let left = processes(marker);
        for (pid, _) in &left {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        left.is_empty()
    });
    remove_cgroups(marker);
}

/// Removes empty cgroups with `marker`. A test that has named one below a parent of its own calls it: a runtime
/// leaves the parent, which others may share.
pub fn remove_cgroups(marker: &str) {
    let mut left = Vec::new();
    cgroups(Path::new(CGROUPS), marker, &mut left);
    // Children come after their parents.
    for cgroup in left.iter().rev() {
        let _ = fs::remove_dir(cgroup);
    }
}

/// Processes with the marker in their arguments, environment or mounts; zombies have none of these.
fn processes(marker: &str) -> Vec<(i32, String)> {
    let own = std::process::id();
    let pids = fs::read_dir("/proc").expect("list /proc").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut found = Vec::new();
    for pid in pids.filter(|&pid| pid != own as i32) {
        let read = |file: &str| {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        let arguments = read("cmdline");
        if arguments.contains(marker)
            || read("environ").contains(&format!("ROOTLING_TEST={marker}"))
            || in_own_mounts(pid, marker)
        {
            found.push((pid, arguments));
        }
    }
    found
}

/// Whether the mount namespace of `pid` differs from ours and has a mount with the marker.
fn in_own_mounts(pid: i32, marker: &str) -> bool {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    namespace(&pid.to_string()) != namespace("self")
        && fs::read_to_string(format!("/proc/{pid}/mountinfo")).is_ok_and(|mounts| mounts.contains(marker))
}

/// The mounts in our own namespace.
fn mounts(marker: &str) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("read mountinfo");
    mounts.lines().filter(|line| line.contains(marker)).map(|line| format!("mount {line}")).collect()
}

/// The cgroups below `dir` that have the marker in their path.
fn cgroups(dir: &Path, marker: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let path = entry.path();
            if path.to_string_lossy().contains(marker) {
                found.push(path.clone());
            }
            cgroups(&path, marker, found);
        }
    }
}

/// The entries of a directory that have the marker in their name.
fn entries(dir: &Path, marker: &str) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().contains(marker))
        .map(|entry| format!("directory {}", entry.path().display()))
        .collect()
}
