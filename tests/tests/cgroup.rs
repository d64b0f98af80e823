//! Cgroups: for a caller without a writable one, and for root with limits.

use std::fs;
use std::path::{Path, PathBuf};

use rootling_tests::cgroups::is_unified;
use rootling_tests::{Bundle, Output, Test, leaks, root, skip, user};
use serde_json::json;

user!(
    container_runs_without_a_writable_cgroup,
    limit_without_a_writable_cgroup_is_an_error_that_names_it,
    limit_without_a_writable_cgroup_can_be_ignored,
    what_limits_nothing_needs_no_cgroup,
);
root!(
    what_limits_nothing_needs_no_hierarchy,
    limits_are_set_and_the_cgroup_goes_with_the_container,
    named_cgroup_is_used,
    container_over_its_memory_limit_is_killed,
    process_limit_is_kept,
    realtime_time_is_handed_down_to_the_container,
);

/// The directory of the process's cgroup for `controller`: on v1 in that controller's hierarchy, otherwise in that
/// of v2.
fn directory(pid: &str, controller: &str) -> PathBuf {
    let lines = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("cgroups of the process");
    let find = |wanted: &str| {
        lines.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (names, path) = (fields.next()?, fields.next()?);
            names.split(',').any(|name| name == wanted).then(|| path.trim_start_matches('/').to_owned())
        })
    };
    let root = Path::new("/sys/fs/cgroup");
    match find(controller) {
        Some(path) => root.join(controller).join(path),
        None => root.join(find("").expect("a unified cgroup")),
    }
}

/// Whether systemd makes the cgroups.
fn with_systemd(t: &Test) -> bool {
    t.flags().iter().any(|flag| flag == "--systemd-cgroup")
}

/// Skips if the test's account has been given a cgroup of its own.
fn has_writable_cgroup(t: &Test) -> bool {
    let output = t.command("sh").args(&["-c", "cat /proc/self/cgroup"]).output().ok();
    let writable = output.stdout.lines().any(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let names = fields.next().unwrap_or_default();
        let path = format!("/sys/fs/cgroup/{names}{}", fields.next().unwrap_or_default());
        t.command("test").args(&["-w", &path]).output().exit() == 0
    });
    if writable {
        skip("the user has a writable cgroup");
    }
    writable
}

/// Runs the bundle with cgroups made by path, whoever makes the cgroups of other tests.
fn run_by_path(t: &Test, bundle: &Bundle, flags: &[&str]) -> Output {
    t.rootling_without_flags(&["run", "-b"]).arg(bundle.write().dir()).args(flags).arg(t.id("c")).output()
}

fn container_runs_without_a_writable_cgroup(t: &Test) {
    if has_writable_cgroup(t) {
        return;
    }
    let bundle = t.bundle(&["sleep", "1000"]);
    run_by_path(t, &bundle, &["-d"]).ok();
    let pid = t.state("c")["pid"].to_string();
    let cgroups =
        |pid: &str| fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("cgroups of a process");
    // The cgroup in which it was started.
    assert_eq!(cgroups(&pid), cgroups("self"));
    t.delete_force("c").ok();
}

fn limit_without_a_writable_cgroup_is_an_error_that_names_it(t: &Test) {
    if has_writable_cgroup(t) {
        return;
    }
    let mut bundle = t.bundle(&["true"]);
    for (resources, controller) in [
        (json!({"memory": {"limit": 64 << 20}}), "memory"),
        (json!({"pids": {"limit": 10}}), "pids"),
        // 0 is a limit like any other for the kernel, the specification and runc.
        (json!({"pids": {"limit": 0}}), "pids"),
        (json!({"cpu": {"burst": 1000}}), "cpu"),
    ] {
        bundle.set("/linux/resources", resources);
        let output = run_by_path(t, &bundle, &[]);
        output.fails_with(&[controller]);
        if is_unified() {
            // What to write to which file.
            output.fails_with(&["Delegate=", "/etc/systemd/system/user@.service.d/delegate.conf"]);
        } else {
            output.fails_with(&["systemd.unified_cgroup_hierarchy=1"]);
        }
    }
}

fn limit_without_a_writable_cgroup_can_be_ignored(t: &Test) {
    if has_writable_cgroup(t) {
        return;
    }
    let mut bundle = t.bundle(&["echo", "ran"]);
    bundle.set("/linux/resources", json!({"memory": {"limit": 64 << 20}}));
    let output = run_by_path(t, &bundle, &["--ignore-cgroup-limits"]).ok();
    assert_eq!(output.text(), "ran");
    assert!(output.stderr.contains("warning") && output.stderr.contains("memory"), "{output}");
}

fn what_limits_nothing_needs_no_cgroup(t: &Test) {
    if has_writable_cgroup(t) {
        return;
    }
    let mut bundle = t.bundle(&["echo", "ran"]);
    for resources in [
        json!({"pids": {"limit": -1}}),
        json!({"cpu": {"idle": 0, "burst": 0, "shares": 0, "quota": -1, "period": 100_000}}),
        json!({"cpu": {"realtimePeriod": 1_000_000}}),
        // -1, which some callers write for the host's value.
        json!({"memory": {"limit": -1, "swap": -1, "reservation": -1, "swappiness": u64::MAX}}),
        json!({"blockIO": {"weight": 0, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 0}]}}),
    ] {
        bundle.set("/linux/resources", resources.clone());
        let output = run_by_path(t, &bundle, &[]).ok();
        assert_eq!((output.text(), output.stderr.as_str()), ("ran", ""), "{resources}");
    }
    if !is_unified() {
        // 0 differs from the kernel's default of 60, and only v1 has it.
        bundle.set("/linux/resources", json!({"memory": {"swappiness": 0}}));
        run_by_path(t, &bundle, &[]).fails_with(&["linux.resources.memory.swappiness 0", "memory"]);
    }
}

/// A host on which one controller is unavailable even for root.
fn what_limits_nothing_needs_no_hierarchy(t: &Test) {
    if is_unified() || !has_controller("cpu") {
        skip("a controller can be taken away by its mount on cgroup v1 only");
        return;
    }
    let mut bundle = t.bundle(&["echo", "ran"]);
    let mut run = |resources| {
        bundle.set("/linux/resources", resources);
        let run = t.rootling_without_flags(&["run", "-b"]).arg(bundle.write().dir()).arg(t.id("c"));
        let without = "umount /sys/fs/cgroup/cpu && exec \"$@\"";
        run.under(&["unshare", "--mount", "sh", "-c", without, "sh"]).output()
    };
    let nothing =
        json!({"cpu": {"idle": 0, "burst": 0, "quota": -1, "period": 100_000, "realtimeRuntime": -1}});
    assert_eq!(run(nothing).ok().text(), "ran");
    for cpu in [json!({"idle": 1}), json!({"burst": 1000}), json!({"quota": 50_000, "period": 100_000})] {
        run(json!({"cpu": cpu})).fails_with(&["cpu", "has not mounted"]);
    }
}

/// Whether the kernel provides this controller, on v1 or v2.
fn has_controller(controller: &str) -> bool {
    let v2 = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    let there = Path::new("/sys/fs/cgroup").join(controller).is_dir()
        || v2.split_whitespace().any(|name| name == controller);
    if !there {
        skip(&format!("no cgroup controller {controller} on this machine"));
    }
    there
}

fn read_either(dir: &Path, v1: &str, v2: &str) -> String {
    let text = fs::read_to_string(dir.join(v1)).or_else(|_| fs::read_to_string(dir.join(v2)));
    text.unwrap_or_else(|error| panic!("{v1} or {v2} in {}: {error}", dir.display())).trim().to_owned()
}

fn limits_are_set_and_the_cgroup_goes_with_the_container(t: &Test) {
    if !has_controller("memory") || !has_controller("pids") {
        return;
    }
    let mut bundle = t.bundle(&["sleep", "1000"]);
    bundle.set("/linux/resources/memory", json!({"limit": 64 << 20}));
    bundle.set("/linux/resources/pids", json!({"limit": 77}));
    t.create(bundle.write(), "c").ok();
    let pid = t.state("c")["pid"].to_string();
    let (memory, pids) = (directory(&pid, "memory"), directory(&pid, "pids"));
    assert_eq!(read_either(&memory, "memory.limit_in_bytes", "memory.max"), (64 << 20).to_string());
    assert_eq!(read_either(&pids, "pids.max", "pids.max"), "77");
    assert_ne!(memory, directory("self", "memory"));
    t.delete_force("c").ok();
    assert!(!memory.exists() && !pids.exists());
}

fn named_cgroup_is_used(t: &Test) {
    if !has_controller("pids") {
        return;
    }
    let mut bundle = t.bundle(&["sleep", "1000"]);
    let marker = t.marker();
    let (path, end) = if with_systemd(t) {
        (format!("system.slice:{marker}:inner"), format!("system.slice/{marker}-inner.scope"))
    } else {
        (format!("/{marker}/inner"), format!("{marker}/inner"))
    };
    bundle.set("/linux/cgroupsPath", path.into());
    t.create(bundle.write(), "c").ok();
    let pid = t.state("c")["pid"].to_string();
    let cgroup = directory(&pid, "pids");
    assert!(cgroup.ends_with(&end), "{}", cgroup.display());
    t.delete_force("c").ok();
    assert!(!cgroup.exists());
    leaks::remove_cgroups(t.marker());
}

fn container_over_its_memory_limit_is_killed(t: &Test) {
    if !has_controller("memory") {
        return;
    }
    let mut bundle = t.shell("exec dd if=/dev/zero of=/dev/null bs=200M count=1");
    bundle.set("/linux/resources/memory", json!({"limit": 16 << 20}));
    let _ = t.run(bundle.write()).code(137);
}

fn process_limit_is_kept(t: &Test) {
    if !has_controller("pids") {
        return;
    }
    let mut bundle = t.shell("for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; echo all");
    bundle.set("/linux/resources/pids", json!({"limit": 5}));
    let output = t.run(bundle.write());
    assert!(output.stderr.contains("fork"), "{output}");
}

fn realtime_time_is_handed_down_to_the_container(t: &Test) {
    let root = Path::new("/sys/fs/cgroup/cpu");
    if !root.join("cpu.rt_runtime_us").exists() {
        return skip("realtime time is given to groups on cgroup v1 only, with CONFIG_RT_GROUP_SCHED");
    }
    let top = t.id("realtime");
    let mut bundle = t.bundle(&["sleep", "1000"]);
    bundle.set("/linux/cgroupsPath", format!("/{top}/mid/c").into());
    let left = || {
        let hierarchies = fs::read_dir("/sys/fs/cgroup").expect("hierarchies");
        hierarchies.map(|entry| entry.expect("a hierarchy").path().join(&top)).find(|dir| dir.exists())
    };
    // More than is available: what was made for it is removed again.
    bundle.set("/linux/resources/cpu", json!({"realtimeRuntime": 990_000, "realtimePeriod": 1_000_000}));
    let create = |bundle: &Bundle| {
        t.rootling_without_flags(&["create", "-b"]).arg(bundle.write().dir()).arg(t.id("c")).output()
    };
    create(&bundle).fails_with(&[&top, "cpu.rt_runtime_us, which has 0", "ask for less"]);
    assert_eq!(left(), None);
    bundle.set("/linux/resources/cpu", json!({"realtimeRuntime": 1000, "realtimePeriod": 1_000_000}));
    create(&bundle).ok();
    let value = |path: &str| {
        let text = fs::read_to_string(root.join(&top).join(path).join("cpu.rt_runtime_us")).expect("a value");
        text.trim().parse::<u64>().expect("microseconds")
    };
    assert_eq!(value("mid/c"), 1000);
    assert!(
        (1..=1000).contains(&value("mid")) && (1..=1000).contains(&value("")),
        "{} {}",
        value("mid"),
        value("")
    );
    t.start("c").ok();
    t.rootling(&["update", "--cpu-rt-runtime", "2000", &t.id("c")]).output().ok();
    assert_eq!(value("mid/c"), 2000);
    t.delete_force("c").ok();
    while let Some(dir) = left() {
        fs::remove_dir(dir.join("mid")).and_then(|()| fs::remove_dir(&dir)).expect("remove the parents");
    }
}
