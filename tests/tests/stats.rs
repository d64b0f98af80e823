//! `stats`: a table, live or once, and JSON.

use rootling_tests::cgroups::Way;
use rootling_tests::{Bundle, Test, both, eventually, skip, user};
use serde_json::{Value, json};

both!(
    table_has_a_line_a_container,
    figures_are_right,
    stream_ends_with_the_containers,
    without_a_cgroup_figures_are_sums_over_the_processes,
    without_a_cgroup_work_is_seen,
    processes_that_come_and_go_while_they_are_read_are_no_error,
);
user!(what_the_caller_may_not_read_is_a_dash);

fn table_has_a_line_a_container(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000"]);
    bundle.write();
    for name in ["a", "b"] {
        t.create(&bundle, name).ok();
        t.start(name).ok();
    }
    let stats = ["stats", "--no-stream", "--interval", "50ms"];
    let table = t.rootling(&stats).output().ok();
    let lines: Vec<&str> = table.stdout.lines().collect();
    assert!(
        lines[0].starts_with("ID ") && lines[0].contains("CPU %") && lines[0].contains("PIDS"),
        "{table}"
    );
    assert_eq!(lines.len(), 3, "{table}");
    let one = t.rootling(&stats).arg(t.id("a")).output().ok();
    assert!(one.stdout.contains(&t.id("a")) && !one.stdout.contains(&t.id("b")), "{one}");
    t.rootling(&["stats", "--no-stream", &t.id("nobody")]).output().fails_with(&["does not exist"]);
    t.delete_force("a").ok();
    t.delete_force("b").ok();
}

fn figures_are_right(t: &Test) {
    for way in Way::all(t) {
        if !["memory", "pids", "cpu"].iter().all(|c| way.has(t, c)) {
            continue;
        }
        let mut bundle = t.shell("while :; do :; done");
        bundle.set("/linux/resources/memory", json!({"limit": 64 << 20}));
        bundle.set("/linux/resources/pids", json!({"limit": 77}));
        bundle.set("/linux/resources/cpu", json!({"quota": 20_000, "period": 100_000}));
        let cgroup = way.start(t, &bundle);
        let output =
            t.rootling(&["stats", "--json", "--no-stream", "--interval", "5s", &t.id("c")]).output().ok();
        let usage = &output.json()[0];
        assert_eq!(usage["id"], json!(t.id("c")));
        assert_eq!((&usage["memoryLimit"], &usage["pidsLimit"]), (&json!(64 << 20), &json!(77)), "{way:?}");
        assert_eq!(usage["pids"].to_string(), cgroup.read("pids", "pids.current", "pids.current"), "{way:?}");
        // It may have at most a fifth of one processor.
        let percent = usage["cpuPercent"].as_f64().expect("a number");
        assert!(percent > 0.0 && percent <= 22.0, "{way:?}: {usage}");
        t.delete_force("c").ok();
    }
}

fn stream_ends_with_the_containers(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000"]);
    t.create(bundle.write(), "c").ok();
    t.start("c").ok();
    let running = t.rootling(&["stats", "--json", "--interval", "20ms", &t.id("c")]).spawn();
    eventually("several lines", || running.so_far().0.lines().count() >= 3);
    t.delete_force("c").ok();
    let output = running.output().ok();
    for line in output.stdout.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|v| v.is_array()), "{line}");
    }
}

/// Starts it without a cgroup, whoever the caller is.
fn start_without_a_cgroup(t: &Test, bundle: &Bundle) {
    let create = ["--cgroup-manager", "disabled", "create", "-b"];
    t.rootling_without_flags(&create).arg(bundle.write().dir()).arg(t.id("c")).output().ok();
    t.start("c").ok();
}

fn usage(t: &Test) -> Value {
    let output =
        t.rootling(&["stats", "--json", "--no-stream", "--interval", "20ms", &t.id("c")]).output().ok();
    output.json()[0].clone()
}

fn row(t: &Test) -> String {
    let table = t.rootling(&["stats", "--no-stream", "--interval", "20ms", &t.id("c")]).output().ok();
    let row = table.stdout.lines().find(|line| line.starts_with(&t.id("c")));
    row.unwrap_or_else(|| panic!("no line of the container: {table}")).to_owned()
}

fn pids(t: &Test) -> Vec<u64> {
    let list = t.rootling(&["ps", "-f", "json", &t.id("c")]).output().ok().json();
    list.as_array().expect("an array").iter().map(|pid| pid.as_u64().expect("a number")).collect()
}

/// The sum of a line's figure over the processes, as the test itself reads it.
fn sum(pids: &[u64], file: &str, line: &str) -> u64 {
    let one = |pid: &u64| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).expect("a file of the process");
        let figure = text.lines().find_map(|text| text.strip_prefix(line)).expect("a line of the file");
        figure.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
    };
    pids.iter().map(one).sum()
}

fn without_a_cgroup_figures_are_sums_over_the_processes(t: &Test) {
    if !nix::unistd::geteuid().is_root() && t.account().ranges().is_some() {
        // The test itself reads files that belong to its caller's subordinate ids.
        return skip("only root reads the files of all the container's processes");
    }
    let dir = t.path("volume");
    t.command("mkdir").arg(&dir).output().ok();
    let script = "sleep 1000 & sleep 1000 & dd if=/dev/zero of=/volume/file bs=1M count=3 conv=fsync 2>/dev/null; \
                  touch /volume/written; while :; do wait; done";
    let mut bundle = t.shell(script);
    bundle.mount("/volume", "bind", dir.to_str().expect("a path"), &["bind"]);
    start_without_a_cgroup(t, &bundle);
    eventually("it has written", || dir.join("written").exists() && pids(t).len() == 3);
    let (found, pids) = (usage(t), pids(t));
    assert_eq!((&found["source"], &found["pids"]), (&json!("processes"), &json!(3)), "{found}");
    assert_eq!((&found["memoryLimit"], &found["pidsLimit"]), (&Value::Null, &Value::Null), "{found}");
    let near = |key: &str, wanted: u64| {
        let shown = found[key].as_u64().unwrap_or_else(|| panic!("{key}: {found}"));
        // All of them sleep; but what other processes share with them, busybox, changes along with those.
        assert!(shown > 0 && shown.abs_diff(wanted) <= wanted / 2, "{key}: {shown}, not {wanted}");
    };
    near("residentBytes", sum(&pids, "smaps_rollup", "Rss:") * 1024);
    near("memoryUsage", sum(&pids, "smaps_rollup", "Pss:") * 1024);
    assert!(found["memoryUsage"].as_u64() < found["residentBytes"].as_u64(), "{found}");
    assert_eq!(found["readBytes"], sum(&pids, "io", "read_bytes:"), "{found}");
    assert_eq!(found["writtenBytes"], sum(&pids, "io", "write_bytes:"), "{found}");
    let row = row(t);
    assert!(row.trim_end().ends_with(" processes") && !row.contains(" - "), "{row}");
    t.delete_force("c").ok();
}

fn without_a_cgroup_work_is_seen(t: &Test) {
    start_without_a_cgroup(t, &t.shell("while :; do :; done"));
    // However long it takes the machine to run it.
    eventually("it works", || usage(t)["cpuPercent"].as_f64().is_some_and(|percent| percent > 0.0));
    t.delete_force("c").ok();
}

fn processes_that_come_and_go_while_they_are_read_are_no_error(t: &Test) {
    start_without_a_cgroup(t, &t.shell("while :; do true & true | true; wait; done"));
    for _ in 0..30 {
        let found = usage(t);
        assert!(found["pids"].as_u64().is_some_and(|pids| pids >= 1), "{found}");
        assert!(found["memoryUsage"].is_u64() && found["readBytes"].is_u64(), "{found}");
    }
    t.delete_force("c").ok();
}

/// The kernel shows the memory of a program that nobody may read only to root.
fn what_the_caller_may_not_read_is_a_dash(t: &Test) {
    if !nix::unistd::geteuid().is_root() {
        return skip("only root can make a program that the user may execute and not read");
    }
    let bundle = t.shell("/bin/busybox-closed sleep 1000 & while :; do wait; done");
    let program = bundle.rootfs("bin/busybox-closed");
    std::fs::copy(bundle.rootfs("bin/busybox"), &program).expect("copy busybox");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(&program, mode).expect("chmod of the program");
    std::os::unix::fs::chown(&program, Some(0), Some(0)).expect("chown of the program");
    start_without_a_cgroup(t, &bundle);
    eventually("both run", || usage(t)["pids"] == json!(2));
    eventually("the program is executed", || usage(t)["memoryUsage"] == Value::Null);
    let found = usage(t);
    assert_eq!((&found["readBytes"], &found["writtenBytes"]), (&Value::Null, &Value::Null), "{found}");
    assert!(found["cpuPercent"].is_f64() && found["residentBytes"].is_u64(), "{found}");
    let row = row(t);
    assert!(row.contains("- / -") && row.trim_end().ends_with(" processes"), "{row}");
    let events = t.rootling(&["events", "--stats", &t.id("c")]).output().ok();
    assert_eq!(events.json()["data"]["unknown"], json!(["memory", "blkio"]), "{events}");
    t.delete_force("c").ok();
}
