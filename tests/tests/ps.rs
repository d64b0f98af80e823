//! `ps`, and `kill --all` for the same processes, with and without a cgroup.

use std::collections::BTreeSet;

use rootling_tests::{Bundle, Test, Who, both, eventually};
use serde_json::json;

both!(
    all_processes_and_no_others_are_listed,
    table_is_that_of_ps,
    stopped_container_has_none,
    kill_all_reaches_every_process,
    kill_all_reaches_every_process_in_the_hosts_pid_namespace,
    processes_of_pid_namespaces_below_are_the_containers,
    what_joined_is_found_in_the_hosts_pid_namespace,
);

fn pids(t: &Test) -> BTreeSet<u64> {
    let list = t.rootling(&["ps", "-f", "json", &t.id("c")]).output().ok().json();
    list.as_array().expect("an array").iter().map(|pid| pid.as_u64().expect("a number")).collect()
}

fn all_processes_and_no_others_are_listed(t: &Test) {
    let bundle = t.shell("sleep 1000 & sleep 1000 & sleep 1000");
    t.create(bundle.write(), "c").ok();
    t.start("c").ok();
    let init = t.state("c")["pid"].as_u64().expect("a pid");
    // The shell and its three children, or two if it has become the last one.
    eventually("all have started", || pids(t).len() >= 3);
    let found = pids(t);
    assert!(found.contains(&init), "{found:?}");
    for pid in found.iter().filter(|pid| **pid != init) {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status of a process");
        assert!(status.contains(&format!("PPid:\t{init}\n")), "{status}");
    }
    t.delete_force("c").ok();
}

fn table_is_that_of_ps(t: &Test) {
    let bundle = t.bundle(&["sleep", "1234"]);
    t.create(bundle.write(), "c").ok();
    t.start("c").ok();
    let id = t.id("c");
    eventually("the program runs", || {
        t.rootling(&["ps", &id]).output().ok().stdout.lines().any(|l| l.ends_with("sleep 1234"))
    });
    let table = t.rootling(&["ps", &id]).output().ok();
    assert_eq!(table.stdout.lines().count(), 2, "{table}");
    assert!(table.stdout.starts_with("UID"), "{table}");
    let table = t.rootling(&["ps", &id, "-e", "-o", "pid,args"]).output().ok();
    let pid = t.state("c")["pid"].to_string();
    assert!(table.stdout.lines().nth(1).is_some_and(|l| l.trim() == format!("{pid} sleep 1234")), "{table}");
    t.rootling(&["ps", &id, "-e", "-o", "args"]).output().fails_with(&["PID"]);
    t.delete_force("c").ok();
}

fn stopped_container_has_none(t: &Test) {
    let bundle = t.bundle(&["true"]);
    t.create(bundle.write(), "c").ok();
    t.start("c").ok();
    eventually("it has stopped", || t.status("c") == "stopped");
    assert_eq!(t.rootling(&["ps", "-f", "json", &t.id("c")]).output().ok().text(), "[]");
    assert_eq!(t.rootling(&["ps", &t.id("c")]).output().ok().stdout.lines().count(), 1);
    t.delete_force("c").ok();
    t.rootling(&["ps", &t.id("c")]).output().fails_with(&["does not exist"]);
}

/// The first process records the signal; the others do not handle it and end.
const TRAPS: &str = "trap 'echo got it; exit 7' USR1; sleep 1000 & sleep 1000 & while :; do wait; done";

fn kill_all_reaches_every_process(t: &Test) {
    kill_all(t, &t.shell(TRAPS));
}

fn kill_all_reaches_every_process_in_the_hosts_pid_namespace(t: &Test) {
    kill_all(t, &with_the_hosts_processes(t, t.shell(TRAPS)));
}

/// Without a separate pid namespace.
fn with_the_hosts_processes(t: &Test, mut bundle: Bundle) -> Bundle {
    bundle.without_namespace("pid");
    if t.who() == Who::User {
        let proc = json!({"destination": "/proc", "type": "bind", "source": "/proc",
                          "options": ["rbind", "nosuid", "nodev", "noexec"]});
        bundle.set("/mounts/0", proc);
    }
    bundle
}

/// Starts it without a cgroup, which would list its processes.
fn start_without_a_cgroup(t: &Test, bundle: &Bundle) {
    let create = ["--cgroup-manager", "disabled", "create", "-b"];
    t.rootling_without_flags(&create).arg(bundle.write().dir()).arg(t.id("c")).output().ok();
    t.start("c").ok();
}

fn processes_of_pid_namespaces_below_are_the_containers(t: &Test) {
    let mut bundle = t.shell("unshare -p -f sh -c 'sleep 1000 & wait' & while :; do wait; done");
    bundle.capabilities(&["CAP_SYS_ADMIN"]);
    start_without_a_cgroup(t, &bundle);
    // The shell, unshare, the shell below it and the child of that.
    eventually("all have started", || pids(t).len() == 4);
    t.delete_force("c").ok();
}

fn what_joined_is_found_in_the_hosts_pid_namespace(t: &Test) {
    let bundle = with_the_hosts_processes(t, t.bundle(&["sleep", "1000"]));
    start_without_a_cgroup(t, &bundle);
    eventually("it has started", || pids(t).len() == 1);
    // The parent of the second one has ended, so it is nobody's child in the container.
    t.exec(&["--detach"], "c", &["sleep", "1000"]).output().ok();
    t.exec(&[""; 0], "c", &["sh", "-c", "sleep 1000 >/dev/null 2>&1 &"]).output().ok();
    eventually("all are found", || pids(t).len() == 3);
    let all = pids(t);
    t.rootling(&["kill", "--all", &t.id("c"), "KILL"]).output().ok();
    let gone = |pid: &u64| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    eventually("every process has ended", || all.iter().all(gone));
    t.delete_force("c").ok();
}

fn kill_all(t: &Test, bundle: &Bundle) {
    t.create(bundle.write(), "c").ok();
    t.start("c").ok();
    // The children come after the trap, so it is set when they exist. Until a child executes its program it has the trap
    // as well, and would go on.
    let sleeps = |pid: &u64| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| words.starts_with(b"sleep\0"))
    };
    eventually("all have started", || pids(t).iter().filter(|pid| sleeps(pid)).count() == 2);
    let all = pids(t);
    assert_eq!(all.len(), 3);
    t.rootling(&["kill", "--all", &t.id("c"), "USR1"]).output().ok();
    let gone = |pid: &u64| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    eventually("every process has ended", || all.iter().all(gone));
    eventually("it has stopped", || t.status("c") == "stopped");
    // That nobody is left to get it is no failure for all processes, but one for the first process.
    t.rootling(&["kill", "-a", &t.id("c"), "0"]).output().ok();
    t.rootling(&["kill", &t.id("c"), "0"]).output().fails_with(&["container not running"]);
    t.delete_force("c").ok();
}
