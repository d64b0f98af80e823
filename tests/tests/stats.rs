//! `stats`: a table, live or once, and JSON.

use rootling_tests::cgroups::Way;
use rootling_tests::{Test, both, eventually};
use serde_json::{Value, json};

both!(
    table_has_a_line_a_container,
    figures_are_right,
    stream_ends_with_the_containers,
    container_without_a_cgroup_is_shown_without_figures,
);

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
        // A fifth of one processor is all that it may have.
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

fn container_without_a_cgroup_is_shown_without_figures(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000"]);
    let create = ["--cgroup-manager", "disabled", "create", "-b"];
    t.rootling_without_flags(&create).arg(bundle.write().dir()).arg(t.id("c")).output().ok();
    let output =
        t.rootling(&["stats", "--json", "--no-stream", "--interval", "20ms", &t.id("c")]).output().ok();
    assert_eq!(output.json()[0]["memoryUsage"], Value::Null);
    assert_eq!(output.json()[0]["pids"], 1);
    let table = t.rootling(&["stats", "--no-stream", "--interval", "20ms", &t.id("c")]).output().ok();
    assert!(table.stdout.lines().nth(1).is_some_and(|line| line.contains(" - ")), "{table}");
    t.delete_force("c").ok();
}
