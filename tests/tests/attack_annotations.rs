//! Annotations that the maker of an image may have written: an engine, or a conversion of the image into a bundle,
//! passes them on. None of them may cause anything of the host to be executed, opened or changed.

use rootling_tests::cgroups::{Cgroup, Way};
use rootling_tests::{Test, both, has_systemd};
use serde_json::json;

both!(
    converted_image_sets_no_unsafe_annotation,
    engine_says_how_systemd_ends_a_converted_image,
    systemd_executes_and_stops_nothing_for_an_annotation,
    limit_is_not_lifted_by_an_annotation,
);

/// What a converter has to write, by image-spec's conversion.md.
const CONVERTED: &str = "org.opencontainers.image.architecture";

fn converted_image_sets_no_unsafe_annotation(t: &Test) {
    let features = t.rootling(&["features"]).output().ok().json();
    let listed = features["potentiallyUnsafeConfigAnnotations"].as_array().expect("a list").clone();
    let names: Vec<&str> =
        listed.iter().filter_map(|name| name.as_str()).filter(|name| *name != "bundle").collect();
    assert_eq!(names.len(), 4, "{names:?}");
    for name in names {
        let name = if name.ends_with('.') { format!("{name}KillMode") } else { name.to_owned() };
        let mut bundle = t.shell("touch /tmp/ran");
        let all = json!({CONVERTED: "amd64", &name: "1"});
        bundle.set("/annotations", all).write();
        for output in [t.run(&bundle), t.create(&bundle, "c")] {
            output.fails_with(&[&format!("annotations: {name}"), CONVERTED, "remove it"]);
        }
        assert!(!bundle.rootfs("tmp/ran").exists());
    }
}

fn engine_says_how_systemd_ends_a_converted_image(t: &Test) {
    let mut bundle = t.shell("echo ran");
    bundle.set(
        "/annotations",
        json!({
            CONVERTED: "amd64",
            "org.systemd.property.KillSignal": "15",
            "org.systemd.property.TimeoutStopUSec": "uint64 10000000",
        }),
    );
    assert_eq!(t.run(bundle.write()).ok().text(), "ran");
    bundle.set("/annotations/org.systemd.property.TasksMax", json!("uint64 10"));
    t.run(bundle.write()).fails_with(&["org.systemd.property.TasksMax", CONVERTED]);
}

fn systemd_executes_and_stops_nothing_for_an_annotation(t: &Test) {
    if !has_systemd(t) {
        return;
    }
    let shows = t.path("ran");
    let command = format!("[('/bin/sh', ['sh', '-c', 'touch {}'], false)]", shows.display());
    for (name, value) in [
        ("ExecStop", command.as_str()),
        ("ExecStartPre", command.as_str()),
        ("Requires", "['emergency.target']"),
        ("Wants", "['reboot.target']"),
        ("Conflicts", "['default.target']"),
        ("BindsTo", "['default.target']"),
        ("OnFailure", "['poweroff.target']"),
        ("SuccessAction", "'reboot-force'"),
        ("FailureAction", "'reboot-force'"),
        ("JobTimeoutAction", "'reboot-force'"),
        ("User", "'root'"),
        ("Slice", "'-.slice'"),
        ("Delegate", "true"),
        ("DeviceAllow", "[('/dev/sda', 'rwm')]"),
        ("DevicePolicy", "'auto'"),
        ("BPFProgram", "[('egress', '/sys/fs/bpf/x')]"),
        ("PIDs", "[uint32 1]"),
    ] {
        let mut bundle = t.shell("touch /tmp/ran");
        bundle.set("/annotations", json!({format!("org.systemd.property.{name}"): value}));
        let words = [&format!("org.systemd.property.{name}")[..], "is not among the properties"];
        Way::Systemd.run(t, &bundle).fails_with(&words);
        assert!(!bundle.rootfs("tmp/ran").exists(), "{name}");
    }
    assert!(!shows.exists(), "systemd executed a program for an annotation");
}

/// Limits in the configuration take precedence over properties that lift them.
fn limit_is_not_lifted_by_an_annotation(t: &Test) {
    if !has_systemd(t) {
        return;
    }
    let mut bundle = t.bundle(&["sleep", "1000"]);
    bundle.set("/linux/resources", json!({"memory": {"limit": 67_108_864}, "pids": {"limit": 50}}));
    let lifted = json!({
        "org.systemd.property.MemoryMax": "uint64 18446744073709551615",
        "org.systemd.property.TasksMax": "uint64 18446744073709551615",
    });
    bundle.set("/annotations", lifted);
    let cgroup: Cgroup = Way::Systemd.start(t, &bundle);
    assert_eq!(cgroup.read("memory", "", "memory.max").trim(), "67108864");
    assert_eq!(cgroup.read("pids", "", "pids.max").trim(), "50");
    t.delete_force("c").ok();
}
