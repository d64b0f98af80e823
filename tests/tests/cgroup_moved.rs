//! A container whose first process has moved itself to another cgroup, as is possible with the host's cgroups, and
//! whose own cgroup has been removed since.

use std::fs;
use std::path::Path;

use rootling_tests::cgroups::{Cgroup, Way, is_unified};
use rootling_tests::{Test, eventually, root};

root!(container_that_has_moved_to_another_cgroup_is_reached, cgroup_that_is_gone_is_said_to_be);

/// Starts and moves the container; returns the directories in which it is now.
fn moved(t: &Test) -> Cgroup {
    let bundle = t.shell("trap 'exit 3' TERM; while :; do sleep 0.1; done");
    let first = Way::Path.start(t, &bundle);
    let pid = t.state("c")["pid"].to_string();
    for dir in first.dirs() {
        let other = dir.with_file_name(t.id("moved"));
        fs::create_dir_all(&other).expect("mkdir");
        for file in ["cpuset.cpus", "cpuset.mems"] {
            // Version 1 accepts no process before these files have a value.
            if let Ok(value) = fs::read_to_string(dir.join(file)) {
                fs::write(other.join(file), value).expect(file);
            }
        }
        let move_one = |pid: &str| fs::write(other.join("cgroup.procs"), pid);
        eventually("all have moved", || {
            let left = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
            left.lines().for_each(|pid| drop(move_one(pid)));
            fs::remove_dir(dir).is_ok() || !dir.exists()
        });
    }
    assert!(!first.exists());
    Cgroup::of(&pid)
}

fn end(t: &Test, now: &Cgroup) {
    t.delete_force("c").ok();
    for dir in now.dirs() {
        eventually("its other cgroup is empty", || fs::remove_dir(dir).is_ok() || !dir.exists());
    }
}

fn container_that_has_moved_to_another_cgroup_is_reached(t: &Test) {
    let now = moved(t);
    let pid = t.state("c")["pid"].clone();
    assert_eq!(t.status("c"), "running");
    let name = t.id("moved");
    let joined = t.exec::<&str>(&[], "c", &["cat", "/proc/self/cgroup"]).output().ok().stdout;
    for line in joined.lines().filter(|line| !is_unified() || line.starts_with("0::")) {
        assert!(line.ends_with(&format!("/{name}")), "{joined}");
    }
    let listed = t.rootling(&["ps", "-f", "json", &t.id("c")]).output().ok().json();
    assert!(listed.as_array().expect("an array").contains(&pid), "{listed}");
    t.rootling(&["kill", "--all", &t.id("c"), "TERM"]).output().ok();
    eventually("the signal has arrived", || t.status("c") == "stopped");
    end(t, &now);
}

fn cgroup_that_is_gone_is_said_to_be(t: &Test) {
    let now = moved(t);
    for command in [&["pause"][..], &["update", "--pids-limit", "20"]] {
        let output = t.rootling(command).arg(t.id("c")).output();
        output.fails_with(&["has been removed", "has moved itself to another cgroup"]);
    }
    assert!(now.dirs().all(Path::exists));
    end(t, &now);
}
