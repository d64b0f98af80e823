//! `update`: changes limits while the container is running.

use rootling_tests::cgroups::{Cgroup, Way, disk_of, is_unified};
use rootling_tests::{Test, both, user};
use serde_json::json;

both!(
    each_limit_changes_in_the_files,
    change_is_seen_inside_and_holds_at_once,
    what_is_not_named_stays,
    option_that_makes_no_sense_is_refused_with_its_range,
    refused_value_changes_nothing,
    file_and_standard_input_are_read,
    limit_below_the_use_is_refused_when_asked,
    paused_container_stays_paused,
    wrong_use_is_one_clear_line,
);
user!(without_a_cgroup_there_is_nothing_to_limit);

/// A container with known limits.
fn started(t: &Test, way: Way) -> Option<Cgroup> {
    if !["memory", "pids", "cpu"].iter().all(|c| way.has(t, c)) {
        return None;
    }
    let mut bundle = t.bundle(&["sleep", "1000"]);
    bundle.set("/linux/resources/memory", json!({"limit": 64 << 20}));
    bundle.set("/linux/resources/cpu", json!({"shares": 100, "quota": 50_000, "period": 100_000}));
    bundle.set("/linux/resources/pids", json!({"limit": 20}));
    Some(way.start(t, &bundle))
}

fn update(t: &Test, args: &[&str]) {
    t.rootling(&["update", &t.id("c")]).args(args).output().ok();
}

fn memory(cgroup: &Cgroup) -> String {
    cgroup.read("memory", "memory.limit_in_bytes", "memory.max")
}

fn quota(cgroup: &Cgroup) -> String {
    if is_unified() {
        return cgroup.read("cpu", "", "cpu.max");
    }
    let read = |file| cgroup.read("cpu", file, "");
    let quota = read("cpu.cfs_quota_us");
    format!("{} {}", if quota == "-1" { "max" } else { &quota }, read("cpu.cfs_period_us"))
}

fn each_limit_changes_in_the_files(t: &Test) {
    for way in Way::all(t) {
        let Some(cgroup) = started(t, way) else { continue };
        update(t, &["--memory", "50M", "--memory-reservation", "32M", "--pids-limit", "10"]);
        assert_eq!(memory(&cgroup), "52428800", "{way:?}");
        assert_eq!(cgroup.read("memory", "memory.soft_limit_in_bytes", "memory.low"), "33554432", "{way:?}");
        assert_eq!(cgroup.read("pids", "pids.max", "pids.max"), "10", "{way:?}");
        update(t, &["--cpu-share", "200"]);
        let weight = if is_unified() { "29" } else { "200" };
        assert_eq!(cgroup.read("cpu", "cpu.shares", "cpu.weight"), weight, "{way:?}");
        update(t, &["--pids-limit", "-1", "--memory", "-1"]);
        assert_eq!(cgroup.read("pids", "pids.max", "pids.max"), "max", "{way:?}");
        // As with runc, 0 is a limit, and the smallest one is 1.
        update(t, &["--pids-limit", "0"]);
        assert_eq!(cgroup.read("pids", "pids.max", "pids.max"), "1", "{way:?}");
        assert_ne!(memory(&cgroup), "52428800", "{way:?}");
        if way.has(t, "cpuset") {
            update(t, &["--cpuset-cpus", "0"]);
            assert_eq!(cgroup.read("cpuset", "cpuset.cpus", "cpuset.cpus"), "0", "{way:?}");
        }
        t.delete_force("c").ok();
    }
}

fn change_is_seen_inside_and_holds_at_once(t: &Test) {
    for way in Way::all(t) {
        if !is_unified() {
            rootling_tests::skip("a cgroup mount of the container's own needs cgroup v2");
            return;
        }
        if !["memory", "pids", "cpu", "cpuset", "io"].iter().all(|c| way.has(t, c)) {
            continue;
        }
        let mut bundle = t.bundle(&["sleep", "1000"]);
        bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro"]);
        bundle.set("/linux/resources/pids", json!({"limit": 20}));
        let _ = way.start(t, &bundle);
        let inside = |script: &str| t.exec::<&str>(&[], "c", &["sh", "-c", script]).output();
        update(t, &["--memory", "32M", "--memory-swap", "48M", "--pids-limit", "3", "--cpuset-cpus", "1"]);
        update(t, &["--cpu-quota", "30000", "--cpu-period", "50000"]);
        let disk = disk_of(bundle.dir());
        if let Some((major, minor)) = disk {
            let rate = json!({"blockIO": {"throttleWriteBpsDevice": [{"major": major, "minor": minor, "rate": 4096}]}});
            let update = t.rootling(&["update", "-r", "-", &t.id("c")]);
            update.input(rate.to_string().as_bytes()).output().ok();
            let line = format!("{major}:{minor} rbps=max wbps=4096 riops=max wiops=max");
            assert_eq!(inside("cat /sys/fs/cgroup/io.max").ok().text(), line, "{way:?}");
        }
        let files = "cd /sys/fs/cgroup; cat memory.max memory.swap.max pids.max cpuset.cpus cpu.max";
        assert_eq!(inside(files).ok().text(), "33554432\n16777216\n3\n1\n30000 50000", "{way:?}");
        // The CPUs on which the running program may run, and how many more processes there may be.
        let pid = t.state("c")["pid"].to_string();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status of the program");
        assert!(status.contains("Cpus_allowed_list:\t1\n"), "{way:?}: {status}");
        let many = "sleep 1 & sleep 1 & sleep 1 & wait; echo all";
        let refused = inside(many);
        assert!(refused.stderr.contains("fork"), "{way:?}: {refused}");
        update(t, &["--pids-limit", "20"]);
        assert_eq!(inside(many).ok().text(), "all", "{way:?}");
        t.delete_force("c").ok();
    }
}

fn option_that_makes_no_sense_is_refused_with_its_range(t: &Test) {
    for way in Way::all(t) {
        let Some(cgroup) = started(t, way) else { continue };
        let refused = |args: &[&str], words: &str| {
            t.rootling(&["update", &t.id("c")]).args(args).output().fails_with(&[words]);
        };
        refused(
            &["--memory", "1m", "--memory-min", "6m"],
            "--memory: 1048576 bytes is below the minimum of 6291456",
        );
        refused(
            &["--memory", "32m", "--memory-swap", "31m"],
            "--memory-swap: 32505856 is below the memory limit",
        );
        refused(&["--cpu-period", "5"], "use 1000 to 1000000 (1 ms to 1 s)");
        refused(&["--cpuset-cpus", "4095"], "names 4095, which this host does not have");
        refused(&["--blkio-weight", "5"], "use 10 to 1000");
        refused(&["--blkio-weight", "-1"], "--blkio-weight: -1 is out of range; use 10 to 1000");
        refused(&["--cpu-share", "-1"], "--cpu-share: -1 is out of range; use 2 to 262144");
        refused(&["--memory-reservation", "4m"], "--memory-reservation: 4194304 bytes is below the minimum");
        refused(
            &["--memory-reservation", "100m"],
            "--memory-reservation: 104857600 is above the memory limit of",
        );
        assert_eq!(memory(&cgroup), "67108864", "{way:?}");
        let clamped = t.rootling(&["update", "--cpu-share", "1", &t.id("c")]).output().ok();
        assert!(clamped.stderr.contains("1 is outside 2 to 262144; 2 is used"), "{way:?}: {clamped}");
        // Without a given minimum there is a warning.
        let small = t.rootling(&["update", "--memory", "5m", &t.id("c")]).output().ok();
        assert!(
            small.stderr.contains("5242880 bytes may kill the container's processes; --memory-min"),
            "{way:?}: {small}"
        );
        assert_eq!(memory(&cgroup), "5242880", "{way:?}");
        // What is read from a file is taken as it is.
        let file = json!({"memory": {"limit": 4 << 20}}).to_string();
        t.rootling(&["update", "-r", "-", &t.id("c")]).input(file.as_bytes()).output().ok();
        assert_eq!(memory(&cgroup), "4194304", "{way:?}");
        t.delete_force("c").ok();
    }
}

fn what_is_not_named_stays(t: &Test) {
    for way in Way::all(t) {
        let Some(cgroup) = started(t, way) else { continue };
        for (args, expected) in [
            (&["--cpu-period", "200000"][..], "50000 200000"),
            (&["--cpu-quota", "60000"], "60000 200000"),
            (&["--memory", "48M"], "60000 200000"),
            (&["--cpu-quota", "-1"], "max 200000"),
        ] {
            update(t, args);
            assert_eq!(quota(&cgroup), expected, "{way:?} {args:?}");
        }
        assert_eq!(cgroup.read("pids", "pids.max", "pids.max"), "20", "{way:?}");
        t.delete_force("c").ok();
    }
}

fn refused_value_changes_nothing(t: &Test) {
    for way in Way::all(t) {
        let Some(cgroup) = started(t, way) else { continue };
        let refused = t.rootling(&["update", &t.id("c"), "--pids-limit", "9", "--cpu-idle", "7"]).output();
        refused.fails_with(&["cpu-idle: 7 is out of range; use 0 or 1"]);
        assert_eq!(cgroup.read("pids", "pids.max", "pids.max"), "20", "{way:?}");
        // What only the kernel can detect, after others have been written: a burst is limited by the quota.
        let args = ["--pids-limit", "9", "--memory", "48M", "--cpu-burst", "99999999"];
        t.rootling(&["update", &t.id("c")]).args(&args).output().fails_with(&["burst"]);
        assert_eq!(cgroup.read("pids", "pids.max", "pids.max"), "20", "{way:?}");
        assert_eq!(memory(&cgroup), "67108864", "{way:?}");
        t.delete_force("c").ok();
    }
}

fn file_and_standard_input_are_read(t: &Test) {
    for way in Way::all(t) {
        let Some(cgroup) = started(t, way) else { continue };
        let resources =
            |limit: u32| json!({"pids": {"limit": limit}, "CPU": {"Quota": limit * 1000}}).to_string();
        let path = t.path("resources.json");
        std::fs::write(&path, resources(30)).expect("write resources");
        t.rootling(&["update", "-r"]).arg(&path).arg(t.id("c")).output().ok();
        assert_eq!(cgroup.read("pids", "pids.max", "pids.max"), "30", "{way:?}");
        assert_eq!(quota(&cgroup), "30000 100000", "{way:?}");
        t.rootling(&["update", "--resources", "-", &t.id("c")]).input(resources(40).as_bytes()).output().ok();
        assert_eq!(cgroup.read("pids", "pids.max", "pids.max"), "40", "{way:?}");
        t.delete_force("c").ok();
    }
}

fn limit_below_the_use_is_refused_when_asked(t: &Test) {
    for way in Way::all(t) {
        if !is_unified() {
            rootling_tests::skip("checkBeforeUpdate is about cgroup v2; v1 refuses such a limit by itself");
            return;
        }
        let Some(_cgroup) = started(t, way) else { continue };
        let resources = json!({"memory": {"limit": 1024, "checkBeforeUpdate": true}}).to_string();
        let refused = t.rootling(&["update", "-r", "-", &t.id("c")]).input(resources.as_bytes()).output();
        refused.fails_with(&["rejecting memory limit 1024 <= usage"]);
        assert_eq!(t.status("c"), "running", "{way:?}");
        t.delete_force("c").ok();
    }
}

fn paused_container_stays_paused(t: &Test) {
    for way in Way::all(t) {
        let Some(cgroup) = started(t, way) else { continue };
        t.rootling(&["pause", &t.id("c")]).output().ok();
        update(t, &["--pids-limit", "30"]);
        assert_eq!(t.status("c"), "paused", "{way:?}");
        assert_eq!(cgroup.read("pids", "pids.max", "pids.max"), "30", "{way:?}");
        t.rootling(&["resume", &t.id("c")]).output().ok();
        t.delete_force("c").ok();
    }
}

fn wrong_use_is_one_clear_line(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000"]);
    t.create(bundle.write(), "c").ok();
    let id = t.id("c");
    for (args, words) in [
        (&["--memory", "lots"][..], &["invalid value for memory", "lots"][..]),
        (&["--cpu-period", "fast"], &["invalid value for cpu-period", "fast"]),
        (&["-r", "/nonexistent"], &["/nonexistent"]),
        (&[], &["nothing to change"]),
        (&["--l3-cache-schema", "x"], &["l3 cache schema is not enabled"]),
    ] {
        t.rootling(&["update", &id]).args(args).output().fails_with(words);
    }
    t.rootling(&["update", "-r", "-", &id]).input(b"[").output().fails_with(&["--resources"]);
    t.rootling(&["kill", &id, "KILL"]).output().ok();
    rootling_tests::eventually("the container has stopped", || t.status("c") == "stopped");
    t.rootling(&["update", &id, "--pids-limit", "5"]).output().fails_with(&["container not running"]);
    t.rootling(&["delete", &id]).output().ok();
    t.rootling(&["update", &id, "--pids-limit", "5"]).output().fails_with(&["does not exist"]);
}

fn without_a_cgroup_there_is_nothing_to_limit(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000"]);
    t.create(bundle.write(), "c").ok();
    if Cgroup::of(&t.state("c")["pid"].to_string()).dir("pids") == Cgroup::of("self").dir("pids") {
        t.rootling(&["update", &t.id("c"), "--pids-limit", "5"]).output().fails_with(&["pids", "no cgroup"]);
        t.rootling(&["update", &t.id("c"), "--cpu-idle", "1"]).output().fails_with(&["cpu", "no cgroup"]);
        // These are already in force.
        update(t, &["--pids-limit", "-1", "--cpu-idle", "0", "--cpu-burst", "0"]);
    } else {
        rootling_tests::skip("the user's container has a cgroup of its own here");
    }
    t.delete_force("c").ok();
}
