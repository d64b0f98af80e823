//! Annotations that the maker of an image may have written: an engine, or a conversion of the image into a bundle, hands
//! them on. None of them has anything of the host executed, opened or changed.

use std::fs;

use rootling_tests::cgroups::{Cgroup, Way};
use rootling_tests::{Test, Who, both, skip};
use serde_json::json;

both!(
    converted_image_sets_no_unsafe_annotation,
    file_of_options_for_criu_executes_nothing,
    systemd_executes_and_stops_nothing_for_an_annotation,
    limit_is_not_lifted_by_an_annotation,
);

/// What image-spec's conversion.md has a converter write.
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

/// CRIU runs as the caller, and executes what its option `action-script` names.
fn file_of_options_for_criu_executes_nothing(t: &Test) {
    let mut bundle = t.bundle(&["sleep", "1000000"]);
    // A file of the image, at a path of the host that its maker may know.
    let (evil, options) = (bundle.rootfs("evil"), bundle.rootfs("criu.conf"));
    let shows = t.path("ran");
    fs::write(&evil, format!("#!/bin/sh\necho ran >{}\n", shows.display())).expect("write a script");
    fs::set_permissions(&evil, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    bundle.set("/annotations", json!({"org.criu.config": options})).write();
    t.run_detached(&bundle, "c").ok();
    for line in [
        format!("action-script {}", evil.display()),
        format!("action-script={}", evil.display()),
        format!("action-sc {}", evil.display()),
        format!("tcp-close --action-script={}", evil.display()),
        format!("libdir {}", bundle.rootfs("").display()),
        "external mnt[/]:/etc".to_owned(),
        "log-file /etc/cron.d/evil".to_owned(),
    ] {
        fs::write(&options, format!("tcp-established\n{line}\n")).expect("write options");
        let checkpoint = t.rootling(&["checkpoint", "--image-path"]).arg(t.path("images")).arg(t.id("c"));
        checkpoint.output().fails_with(&["org.criu.config", "line 2"]);
        let restore = t.rootling(&["restore", "--image-path"]).arg(t.path("images"));
        restore
            .arg("-b")
            .arg(bundle.dir())
            .arg(t.id("d"))
            .output()
            .fails_with(&["org.criu.config", "line 2"]);
    }
    assert!(!shows.exists(), "CRIU executed a program of the image");
    assert_eq!(t.status("c"), "running");
    t.delete_force("c").ok();
}

/// Whether there is a systemd to ask. Skips, with the reason, if not.
fn has_systemd(t: &Test) -> bool {
    let has = Way::all(t).contains(&Way::Systemd);
    if !has && t.who() == Who::Root {
        skip("no systemd with cgroup v2 here");
    }
    has
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

/// Limits of the configuration win over properties that lift them.
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
