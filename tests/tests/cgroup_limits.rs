//! Limits are enforced: in every way in which the account can have a cgroup on this machine, as read back from the
//! files, from inside, and by their effect.

use std::path::Path;
use std::time::{Duration, Instant};

use rootling_tests::cgroups::{Cgroup, MOUNT, Way, disk_of, is_unified};
use rootling_tests::{Test, both, eventually, skip, user};
use serde_json::json;

both!(
    limits_are_in_the_files_and_the_cgroup_goes_with_the_container,
    limits_are_seen_from_inside,
    zero_is_written_where_it_is_a_value,
    memory_limit_kills_the_hog,
    memory_limit_that_is_too_small_for_the_start_is_named,
    process_limit_stops_a_fork_bomb,
    cpu_quota_holds,
    cpuset_pins,
    block_io_is_throttled,
    throttle_of_a_device_that_is_not_there_is_an_error,
    container_starts_under_512_kib,
    second_container_in_the_same_cgroup_is_refused,
    cgroups_below_go_with_the_container,
    idle_cgroup_has_no_shares,
);
user!(limit_of_a_controller_that_is_not_delegated_is_a_warning_that_names_it);

fn limits_are_in_the_files_and_the_cgroup_goes_with_the_container(t: &Test) {
    for way in Way::all(t) {
        if !["memory", "pids", "cpu"].iter().all(|c| way.has(t, c)) {
            continue;
        }
        let mut bundle = t.bundle(&["sleep", "1000"]);
        bundle.set("/linux/resources/memory", json!({"limit": 64 << 20, "reservation": 32 << 20}));
        bundle.set("/linux/resources/pids", json!({"limit": 77}));
        bundle.set("/linux/resources/cpu", json!({"shares": 512, "quota": 50_000, "period": 100_000}));
        let cgroup = way.start(t, &bundle);
        let read = |controller, v1, v2| cgroup.read(controller, v1, v2);
        assert_eq!(read("memory", "memory.limit_in_bytes", "memory.max"), "67108864", "{way:?}");
        assert_eq!(read("memory", "memory.soft_limit_in_bytes", "memory.low"), "33554432", "{way:?}");
        assert_eq!(read("pids", "pids.max", "pids.max"), "77", "{way:?}");
        let (shares, quota) = if is_unified() { ("59", "50000 100000") } else { ("512", "50000") };
        assert_eq!(read("cpu", "cpu.shares", "cpu.weight"), shares, "{way:?}");
        assert_eq!(read("cpu", "cpu.cfs_quota_us", "cpu.max"), quota, "{way:?}");
        t.delete_force("c").ok();
        assert!(!cgroup.dir("memory").exists() && !cgroup.dir("pids").exists(), "{way:?}: {cgroup:?}");
    }
}

fn limits_are_seen_from_inside(t: &Test) {
    for way in Way::all(t) {
        if !is_unified() {
            skip("a cgroup mount of the container's own needs cgroup v2");
            return;
        }
        if !["memory", "pids", "cpu", "cpuset", "io"].iter().all(|c| way.has(t, c)) {
            continue;
        }
        let files = "memory.max memory.swap.max pids.max cpu.max cpu.weight cpuset.cpus";
        let mut bundle = t.shell(&format!("cd /sys/fs/cgroup; cat {files} io.max; cat /proc/self/cgroup"));
        bundle.set("/linux/resources/memory", json!({"limit": 64 << 20, "swap": 96 << 20}));
        bundle.set("/linux/resources/pids", json!({"limit": 77}));
        let cpu = json!({"quota": 50_000, "period": 100_000, "shares": 512, "cpus": "0", "mems": "0"});
        bundle.set("/linux/resources/cpu", cpu);
        let mut expected = "67108864\n33554432\n77\n50000 100000\n59\n0\n".to_owned();
        if let Some((major, minor)) = disk_of(bundle.dir()) {
            let rate = json!([{"major": major, "minor": minor, "rate": 1 << 20}]);
            bundle.set("/linux/resources/blockIO", json!({"throttleReadBpsDevice": rate}));
            expected = format!("{expected}{major}:{minor} rbps=1048576 wbps=max riops=max wiops=max\n");
        }
        bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]);
        assert_eq!(way.run(t, &bundle).ok().stdout, format!("{expected}0::/\n"), "{way:?}");
    }
}

/// As in runc, and as the specification requires for processes.
fn zero_is_written_where_it_is_a_value(t: &Test) {
    for way in Way::all(t) {
        if !["memory", "pids", "cpu"].iter().all(|c| way.has(t, c)) {
            continue;
        }
        let mut bundle = t.bundle(&["sleep", "1000"]);
        bundle.set("/linux/resources/pids", json!({"limit": 0}));
        bundle.set(
            "/linux/resources/memory",
            json!({"limit": 0, "swap": 0, "reservation": 0, "swappiness": 0}),
        );
        bundle.set(
            "/linux/resources/cpu",
            json!({"shares": 0, "quota": 0, "period": 0, "idle": 0, "burst": 0}),
        );
        let cgroup = way.start(t, &bundle);
        let read = |controller, v1, v2| cgroup.read(controller, v1, v2);
        // systemd does not accept 0, and one process amounts to the same, since the first one exists already.
        assert_eq!(read("pids", "pids.max", "pids.max"), "1", "{way:?}");
        assert_eq!(read("cpu", "cpu.cfs_burst_us", "cpu.max.burst"), "0", "{way:?}");
        assert_eq!(read("cpu", "cpu.idle", "cpu.idle"), "0", "{way:?}");
        let (shares, quota) = if is_unified() { ("100", "max 100000") } else { ("1024", "-1") };
        assert_eq!(read("cpu", "cpu.shares", "cpu.weight"), shares, "{way:?}");
        assert_eq!(read("cpu", "cpu.cfs_quota_us", "cpu.max"), quota, "{way:?}");
        if !is_unified() {
            assert_eq!(read("memory", "memory.swappiness", ""), "0", "{way:?}");
        }
        t.delete_force("c").ok();
    }
}

fn memory_limit_that_is_too_small_for_the_start_is_named(t: &Test) {
    for way in Way::all(t) {
        if !way.has(t, "memory") {
            continue;
        }
        let mut bundle = t.bundle(&["true"]);
        bundle.set("/linux/resources/memory", json!({"limit": 4096, "swap": 4096}));
        way.run(t, &bundle).fails_with(&["was killed by SIGKILL", "raise linux.resources.memory.limit"]);
    }
}

fn memory_limit_kills_the_hog(t: &Test) {
    for way in Way::all(t) {
        if !way.has(t, "memory") {
            continue;
        }
        let mut bundle = t.shell("exec dd if=/dev/zero of=/dev/null bs=200M count=1");
        bundle.set("/linux/resources/memory", json!({"limit": 16 << 20, "swap": 16 << 20}));
        let _ = way.run(t, &bundle).code(137);
    }
}

fn process_limit_stops_a_fork_bomb(t: &Test) {
    for way in Way::all(t) {
        if !way.has(t, "pids") {
            continue;
        }
        let mut bundle = t.shell("for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo all");
        bundle.set("/linux/resources/pids", json!({"limit": 5}));
        let output = way.run(t, &bundle);
        assert!(output.stderr.contains("fork"), "{way:?}: {output}");
    }
}

/// The processor time that the cgroup has used, in microseconds.
fn cpu_used(cgroup: &Cgroup) -> u64 {
    if is_unified() {
        let stat = cgroup.read("cpu", "", "cpu.stat");
        let usage = stat.lines().find_map(|line| line.strip_prefix("usage_usec "));
        return usage.expect("usage_usec").parse().expect("a number");
    }
    cgroup.read("cpuacct", "cpuacct.usage", "").parse::<u64>().expect("a number") / 1000
}

fn cpu_quota_holds(t: &Test) {
    for way in Way::all(t) {
        if !way.has(t, "cpu") {
            continue;
        }
        let mut bundle = t.shell("while :; do :; done");
        bundle.set("/linux/resources/cpu", json!({"quota": 20_000, "period": 100_000}));
        let cgroup = way.start(t, &bundle);
        let (start, before) = (Instant::now(), cpu_used(&cgroup));
        std::thread::sleep(Duration::from_secs(5));
        let (passed, used) = (start.elapsed().as_micros() as u64, cpu_used(&cgroup) - before);
        t.delete_force("c").ok();
        // At most a fifth, within a tenth. A machine with other work may give less.
        assert!(used <= passed / 5 * 11 / 10, "{way:?}: {used} of {passed} microseconds");
        assert!(used > 0, "{way:?}: it did not run");
    }
}

fn cpuset_pins(t: &Test) {
    for way in Way::all(t) {
        if !way.has(t, "cpuset") {
            continue;
        }
        let mut bundle = t.shell("grep Cpus_allowed_list /proc/self/status | tr -d ' \\t'; sleep 1000");
        bundle.set("/linux/resources/cpu", json!({"cpus": "0", "mems": "0"}));
        let mut running = way.rootling(t, &["run", "-b"]).arg(bundle.write().dir()).arg(t.id("c")).spawn();
        running.prints("Cpus_allowed_list:0\n");
        let cgroup = Cgroup::of(&t.state("c")["pid"].to_string());
        assert_eq!(cgroup.read("cpuset", "cpuset.cpus", "cpuset.cpus"), "0", "{way:?}");
        t.delete_force("c").ok();
        let _ = running.output();
    }
}

fn block_io_is_throttled(t: &Test) {
    for way in Way::all(t) {
        if !way.has(t, "io") {
            continue;
        }
        let mut bundle = t.shell("dd if=/dev/zero of=/tmp/f bs=256k count=12 oflag=direct 2>/dev/null");
        let Some((major, minor)) = disk_of(bundle.dir()) else { return };
        bundle.set("/root/readonly", false.into());
        let rate = json!([{"major": major, "minor": minor, "rate": 1 << 20}]);
        bundle.set("/linux/resources/blockIO", json!({"throttleWriteBpsDevice": rate}));
        let start = Instant::now();
        way.run(t, &bundle).ok();
        // Three times the rate takes more than one second, however fast the machine is.
        assert!(start.elapsed() > Duration::from_millis(1500), "{way:?}: {:?}", start.elapsed());
    }
}

/// A limit that is not enforced is never silently ignored.
fn throttle_of_a_device_that_is_not_there_is_an_error(t: &Test) {
    for way in Way::all(t) {
        if !way.has(t, "io") {
            continue;
        }
        let mut bundle = t.bundle(&["true"]);
        let rate = json!([{"major": 200, "minor": 200, "rate": 1 << 20}]);
        bundle.set("/linux/resources/blockIO", json!({"throttleWriteBpsDevice": rate}));
        way.run(t, &bundle).fails_with(&["200:200", "there is no such device"]);
    }
}

fn container_starts_under_512_kib(t: &Test) {
    for way in Way::all(t) {
        if !way.has(t, "memory") {
            continue;
        }
        let mut bundle = t.bundle(&["true"]);
        bundle.set("/linux/resources/memory", json!({"limit": 512 << 10}));
        way.run(t, &bundle).ok();
    }
}

fn second_container_in_the_same_cgroup_is_refused(t: &Test) {
    for way in Way::all(t) {
        let mut bundle = t.bundle(&["sleep", "1000"]);
        let cgroup = way.start(t, &bundle);
        let dir = cgroup.dir("pids");
        let path = if way == Way::Systemd {
            format!(":rootling:{}", t.id("c"))
        } else {
            let hierarchy = if is_unified() { "" } else { "pids" };
            let path = dir.strip_prefix(Path::new(MOUNT).join(hierarchy)).expect("below the mount");
            format!("/{}", path.display())
        };
        bundle.set("/linux/cgroupsPath", path.into());
        let second = way.rootling(t, &["run", "-b"]).arg(bundle.write().dir()).arg(t.id("d")).output();
        second.fails_with(&["container's cgroup is not empty", &t.id("c")]);
        assert_eq!(t.status("c"), "running", "{way:?}");
        t.delete_force("c").ok();
    }
}

fn cgroups_below_go_with_the_container(t: &Test) {
    for way in Way::all(t) {
        let bundle = t.bundle(&["sleep", "1000"]);
        let cgroup = way.start(t, &bundle);
        let dir = cgroup.dir("pids").join("a/b");
        let dir = dir.to_string_lossy();
        t.command("mkdir").args(&["-p", &*dir]).output().ok();
        t.delete_force("c").ok();
        eventually("the cgroup is gone", || !cgroup.dir("pids").exists());
    }
}

/// The kernel refuses a weight together with `cpu.idle`: which of them is in force must not depend on the version.
fn idle_cgroup_has_no_shares(t: &Test) {
    for way in Way::all(t) {
        if !way.has(t, "cpu") {
            continue;
        }
        let mut bundle = t.bundle(&["sleep", "1000"]);
        bundle.set("/linux/resources/cpu", json!({"idle": 1, "shares": 512}));
        let cgroup = way.start(t, &bundle);
        let read = |v1, v2| cgroup.read("cpu", v1, v2);
        assert_eq!(read("cpu.idle", "cpu.idle"), "1", "{way:?}");
        // systemd takes a weight as the end of being idle.
        if way != Way::Systemd {
            let refused = t.rootling(&["update", "--cpu-share", "300", &t.id("c")]).output();
            refused.fails_with(&["the cgroup is idle", "set cpu.idle to 0"]);
        }
        t.rootling(&["update", "--cpu-idle", "0", "--cpu-share", "512", &t.id("c")]).output().ok();
        let shares = if is_unified() { "59" } else { "512" };
        assert_eq!(
            (read("cpu.idle", "cpu.idle"), read("cpu.shares", "cpu.weight")),
            ("0".into(), shares.into())
        );
        t.rootling(&["update", "--cpu-idle", "1", "--cpu-share", "300", &t.id("c")]).output().ok();
        assert_eq!(read("cpu.idle", "cpu.idle"), "1", "{way:?}");
        t.delete_force("c").ok();
    }
}

/// systemd does not delegate huge pages to a user.
fn limit_of_a_controller_that_is_not_delegated_is_a_warning_that_names_it(t: &Test) {
    for way in Way::all(t) {
        if !way.has(t, "pids") {
            continue;
        }
        let mut bundle = t.shell("cat /sys/fs/cgroup/pids.max; ls /sys/fs/cgroup | grep -c hugetlb");
        let huge = json!([{"pageSize": "2MB", "limit": 2 << 20}]);
        bundle.set("/linux/resources", json!({"hugepageLimits": huge, "pids": {"limit": 77}}));
        bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro"]);
        // 1 is the exit code of grep -c without a match.
        let output = way.run(t, &bundle).code(1);
        assert_eq!(output.stdout, "77\n0\n", "{way:?}: {output}");
        for word in ["warning", "hugepageLimits: dropped", "controller hugetlb", "run as root"] {
            assert!(output.stderr.contains(word), "{way:?}: {word}: {output}");
        }
    }
}
