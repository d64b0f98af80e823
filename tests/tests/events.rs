//! `events`: figures in runc's format, and reports of the OOM killer.

use rootling_tests::cgroups::Way;
use rootling_tests::{Test, both, eventually};
use serde_json::{Value, json};

both!(
    figures_are_those_of_the_files,
    interval_is_kept_until_the_container_ends,
    oom_is_reported,
    wrong_use_is_an_error,
    without_a_cgroup_figures_are_marked_as_sums,
);

fn figures_are_those_of_the_files(t: &Test) {
    for way in Way::all(t) {
        if !way.has(t, "memory") || !way.has(t, "pids") {
            continue;
        }
        let mut bundle = t.shell("sleep 1000 & sleep 1000 & wait");
        bundle.set("/linux/resources/memory", json!({"limit": 64 << 20}));
        bundle.set("/linux/resources/pids", json!({"limit": 77}));
        let cgroup = way.start(t, &bundle);
        eventually("all have started", || cgroup.read("pids", "pids.current", "pids.current") == "3");
        let output = t.rootling(&["events", "--stats", &t.id("c")]).output().ok();
        assert!(
            output
                .stdout
                .starts_with(&format!("{{\"type\":\"stats\",\"id\":{:?},\"data\":{{\"cpu\":", t.id("c"))),
            "{output}"
        );
        let data = &output.json()["data"];
        assert_eq!(data["pids"], json!({"current": 3, "limit": 77}), "{way:?}");
        assert_eq!(data["memory"]["usage"]["limit"], 64 << 20, "{way:?}");
        let usage: u64 =
            cgroup.read("memory", "memory.usage_in_bytes", "memory.current").parse().expect("a number");
        // Nothing is running, so nothing has changed since, except for what the kernel reclaims by itself.
        let shown = data["memory"]["usage"]["usage"].as_u64().expect("a number");
        assert!(shown.abs_diff(usage) <= 1 << 20, "{way:?}: {shown} {usage}");
        let raw = data["memory"]["raw"].as_object().expect("memory.stat");
        let stat = cgroup.read("memory", "memory.stat", "memory.stat");
        assert_eq!(raw.len(), stat.lines().count(), "{way:?}");
        assert!(data["cpu"]["usage"]["total"].as_u64().is_some_and(|n| n > 0), "{way:?}: {data}");
        for key in ["cpuset", "blkio", "hugetlb", "intel_rdt"] {
            assert!(data[key].is_object(), "{way:?}: {key} in {data}");
        }
        assert_eq!(data.get("network_interfaces"), Some(&Value::Null), "{way:?}");
        t.delete_force("c").ok();
    }
}

fn interval_is_kept_until_the_container_ends(t: &Test) {
    for way in Way::all(t) {
        let _ = way.start(t, &t.bundle(&["sleep", "1000"]));
        let running = t.rootling(&["events", "--interval", "50ms", &t.id("c")]).spawn();
        eventually("several reports", || running.so_far().0.lines().count() >= 3);
        t.delete_force("c").ok();
        let output = running.output().ok();
        for line in output.stdout.lines() {
            let event: Value = serde_json::from_str(line).expect("a line is a JSON object");
            assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &json!(t.id("c"))), "{way:?}");
        }
    }
}

fn oom_is_reported(t: &Test) {
    for way in Way::all(t) {
        if !way.has(t, "memory") {
            continue;
        }
        // The shell stays; the process that uses the memory is its child.
        let mut bundle =
            t.shell("read go </go/fifo; dd if=/dev/zero of=/dev/null bs=200M count=1; sleep 1000");
        bundle.set("/linux/resources/memory", json!({"limit": 16 << 20, "swap": 16 << 20}));
        let dir = t.path("go");
        t.command("mkdir").args(&["-p"]).arg(&dir).output().ok();
        t.command("mkfifo").arg(dir.join("fifo")).output();
        bundle.set(
            "/mounts/-",
            json!({"destination": "/go", "type": "bind", "source": dir, "options": ["bind"]}),
        );
        let _ = way.start(t, &bundle);
        let running = t.rootling(&["events", "--interval", "20ms", &t.id("c")]).spawn();
        eventually("it reports", || running.so_far().0.lines().count() >= 1);
        t.command("sh").args(&["-c", &format!("echo >{}", dir.join("fifo").display())]).output().ok();
        let line = format!("{{\"type\":\"oom\",\"id\":{:?}}}", t.id("c"));
        eventually("the kernel ran out of memory", || running.so_far().0.lines().any(|l| l == line));
        assert_eq!(t.status("c"), "running", "{way:?}");
        t.delete_force("c").ok();
        let _ = running.output().ok();
    }
}

fn wrong_use_is_an_error(t: &Test) {
    let bundle = t.bundle(&["true"]);
    t.create(bundle.write(), "c").ok();
    let id = t.id("c");
    for (interval, words) in
        [("0s", "duration interval must be greater than 0"), ("soon", "write it with a unit")]
    {
        t.rootling(&["events", "--interval", interval, &id]).output().fails_with(&[words]);
    }
    t.start("c").ok();
    eventually("it has stopped", || t.status("c") == "stopped");
    t.rootling(&["events", "--stats", &id]).output().fails_with(&["is not running"]);
    t.rootling(&["events", &id]).output().fails_with(&["is not running"]);
    t.delete_force("c").ok();
    t.rootling(&["events", &id]).output().fails_with(&["does not exist"]);
}

fn without_a_cgroup_figures_are_marked_as_sums(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000"]);
    let create = ["--cgroup-manager", "disabled", "create", "-b"];
    t.rootling_without_flags(&create).arg(bundle.write().dir()).arg(t.id("c")).output().ok();
    t.start("c").ok();
    let output = t.rootling(&["events", "--stats", &t.id("c")]).output().ok();
    assert!(output.stderr.contains("has no cgroup, so its figures are sums over its processes"), "{output}");
    let data = &output.json()["data"];
    assert_eq!((&data["source"], &data["pids"]), (&json!("processes"), &json!({"current": 1})), "{output}");
    assert_eq!(data.get("unknown"), None, "{output}");
    assert!(data["cpu"]["usage"]["total"].as_u64().is_some_and(|n| n > 0), "{output}");
    let (usage, raw) = (&data["memory"]["usage"]["usage"], &data["memory"]["raw"]);
    assert_eq!(usage, &raw["pss"], "{output}");
    assert!(usage.as_u64().is_some_and(|n| n > 0) && usage.as_u64() <= raw["rss"].as_u64(), "{output}");
    let ops: Vec<&Value> = data["blkio"]["ioServiceBytesRecursive"]
        .as_array()
        .expect("bytes")
        .iter()
        .map(|e| &e["op"])
        .collect();
    assert_eq!(ops, ["Read", "Write"], "{output}");
    // A watcher is notified once. It takes longer to collect the figures than this interval, and notices the end all the same.
    let running = t.rootling(&["events", "--interval", "1us", &t.id("c")]).spawn();
    eventually("several reports", || running.so_far().0.lines().count() >= 3);
    t.delete_force("c").ok();
    let output = running.output().ok();
    assert_eq!(output.stderr.matches("has no cgroup").count(), 1, "{output}");
    for line in output.stdout.lines() {
        assert!(line.contains(r#""source":"processes""#), "{line}");
    }
}
