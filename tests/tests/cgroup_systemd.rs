//! systemd scopes, and their consequences. These tests run where systemd does, with cgroup v2, for root and for a
//! user with a session.

use std::fs;

use rootling_tests::cgroups::{Way, is_unified};
use rootling_tests::{Ids, Test, Who, both, eventually, has_systemd, root, skip};
use serde_json::json;

both!(
    named_slice_and_scope_are_used,
    annotations_become_properties,
    failed_unit_goes_with_the_container,
    frozen_cgroup_of_the_units_name_is_refused,
    exec_joins_the_scope,
    block_io_weight_outlives_a_reload,
    wrong_path_and_wrong_property_are_errors_and_leave_nothing,
    without_a_bus_the_error_says_what_to_do,
);
root!(container_of_a_user_namespace_owns_its_cgroup);

/// `systemctl ARGS...` for the systemd that manages the account's containers.
fn systemctl(t: &Test, args: &[&str]) -> rootling_tests::Output {
    let command = t.command("systemctl");
    let command = if t.who() == Who::User { command.arg("--user") } else { command };
    command.args(args).output()
}

fn named_slice_and_scope_are_used(t: &Test) {
    if !has_systemd(t) {
        return;
    }
    let mut bundle = t.bundle(&["sleep", "1000"]);
    bundle.set("/linux/cgroupsPath", format!("rltest-inner.slice:pre:{}", t.marker()).into());
    let cgroup = Way::Systemd.start(t, &bundle);
    let unit = format!("pre-{}.scope", t.marker());
    let expected = format!("rltest.slice/rltest-inner.slice/{unit}");
    assert!(cgroup.dir("pids").ends_with(&expected), "{cgroup:?}");
    let show = systemctl(t, &["show", &unit, "-p", "Delegate", "-p", "ActiveState", "-p", "Slice"]).ok();
    for line in ["Delegate=yes", "ActiveState=active", "Slice=rltest-inner.slice"] {
        assert!(show.stdout.lines().any(|l| l == line), "{show}");
    }
    t.delete_force("c").ok();
    assert!(!cgroup.dir("pids").exists());
    assert_eq!(systemctl(t, &["status", &unit]).exit(), 4);
    let _ = systemctl(t, &["stop", "rltest-inner.slice", "rltest.slice"]);
}

fn annotations_become_properties(t: &Test) {
    if !has_systemd(t) {
        return;
    }
    let mut bundle = t.bundle(&["sleep", "1000"]);
    bundle.set(
        "/annotations",
        json!({
            "org.systemd.property.TimeoutStopSec": "uint64 7",
            "org.systemd.property.RuntimeMaxUSec": "uint64 3600000000",
            "org.systemd.property.Documentation": "['https://example.org/a', 'https://example.org/b']",
            "org.systemd.property.CollectMode": "'inactive-or-failed'",
            "com.example.other": "ignored",
        }),
    );
    let _ = Way::Systemd.start(t, &bundle);
    let unit = format!("rootling-{}.scope", t.id("c"));
    let names = ["-p", "TimeoutStopUSec", "-p", "RuntimeMaxUSec", "-p", "Documentation", "-p", "CollectMode"];
    let show = systemctl(t, &["show", &unit]).ok();
    for line in [
        "TimeoutStopUSec=7s",
        "RuntimeMaxUSec=1h",
        "Documentation=https://example.org/a https://example.org/b",
        "CollectMode=inactive-or-failed",
    ] {
        assert!(show.stdout.lines().any(|l| l == line), "{line} of {names:?} in {show}");
    }
    t.delete_force("c").ok();
}

fn failed_unit_goes_with_the_container(t: &Test) {
    if !has_systemd(t) {
        return;
    }
    let mut bundle = t.bundle(&["sleep", "1000"]);
    let annotations =
        json!({"org.systemd.property.RuntimeMaxSec": "5", "org.systemd.property.TimeoutStopSec": "1"});
    bundle.set("/annotations", annotations);
    let run = Way::Systemd.rootling(t, &["run", "-d", "-b"]).arg(bundle.write().dir()).arg(t.id("c"));
    run.output().ok();
    let unit = format!("rootling-{}.scope", t.id("c"));
    eventually("systemd has ended it", || t.status("c") == "stopped");
    eventually("the unit has failed", || systemctl(t, &["is-failed", &unit]).exit() == 0);
    t.rootling(&["delete", &t.id("c")]).output().ok();
    assert_eq!(systemctl(t, &["status", &unit]).exit(), 4);
    // What the first scope has left does not prevent a second one with the same name.
    bundle.remove("/annotations");
    let _ = Way::Systemd.start(t, &bundle);
    t.delete_force("c").ok();
}

/// Otherwise systemd would start the unit in it, where the container would never run.
fn frozen_cgroup_of_the_units_name_is_refused(t: &Test) {
    if !has_systemd(t) {
        return;
    }
    let bundle = t.bundle(&["sleep", "1000"]);
    let cgroup = Way::Systemd.start(t, &bundle);
    t.delete_force("c").ok();
    let dir = cgroup.dir("pids").to_owned();
    let name = dir.to_string_lossy();
    // The slice may have been removed with its last unit.
    let script = r#"mkdir -p "$1" && echo 1 >"$1/cgroup.freeze""#;
    t.command("sh").args(&["-c", script, "sh", &*name]).output().ok();
    let refused = Way::Systemd.run(t, &bundle);
    refused.fails_with(&["container's cgroup unexpectedly frozen", &name]);
    t.command("rmdir").arg(&dir).output().ok();
}

fn exec_joins_the_scope(t: &Test) {
    if !has_systemd(t) {
        return;
    }
    let mut bundle = t.bundle(&["sleep", "1000"]);
    bundle.set("/linux/resources/pids", json!({"limit": 50}));
    bundle.without_namespace("cgroup");
    let cgroup = Way::Systemd.start(t, &bundle);
    let output = t.rootling(&["exec", &t.id("c"), "cat", "/proc/self/cgroup"]).output().ok();
    let scope = cgroup.dir("pids").file_name().expect("a name").to_string_lossy();
    assert!(output.text().ends_with(&*scope), "{output}");
    t.delete_force("c").ok();
}

fn block_io_weight_outlives_a_reload(t: &Test) {
    if !has_systemd(t) || !Way::Systemd.has(t, "io") {
        return;
    }
    let mut bundle = t.bundle(&["sleep", "1000"]);
    bundle.set("/linux/resources/blockIO", json!({"weight": 200}));
    let cgroup = Way::Systemd.start(t, &bundle);
    let file = cgroup.dir("io").join("io.weight");
    let weight = || fs::read_to_string(&file).expect("io.weight");
    assert_eq!(weight(), "default 1920\n");
    systemctl(t, &["daemon-reload"]).ok();
    assert_eq!(weight(), "default 1920\n");
    t.delete_force("c").ok();
}

fn wrong_path_and_wrong_property_are_errors_and_leave_nothing(t: &Test) {
    if !has_systemd(t) {
        return;
    }
    let run = |bundle: &rootling_tests::Bundle| Way::Systemd.run(t, bundle);
    for (path, words) in [
        ("/a/b", "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups"),
        ("a/b.slice:p:n", "is not the name of a slice"),
    ] {
        let mut bundle = t.bundle(&["true"]);
        bundle.set("/linux/cgroupsPath", path.into());
        run(&bundle).fails_with(&[words]);
    }
    let mut bundle = t.bundle(&["true"]);
    bundle.set("/annotations", json!({"org.systemd.property.TimeoutStopSec": "soon"}));
    run(&bundle).fails_with(&["org.systemd.property.TimeoutStopSec", "GVariant"]);
    bundle.set("/annotations", json!({"org.systemd.property.NoSuchThing": "true"}));
    run(&bundle).fails_with(&["systemd", "NoSuchThing"]);
}

fn without_a_bus_the_error_says_what_to_do(t: &Test) {
    if t.who() == Who::Root || !is_unified() || !std::path::Path::new("/run/systemd/system").is_dir() {
        skip("only a user can be without a bus where systemd runs");
        return;
    }
    let bundle = t.bundle(&["true"]);
    let dir = t.path("no-session");
    fs::create_dir(&dir).expect("make a directory");
    let run = t.rootling(&["--systemd-cgroup", "run", "-b"]).arg(bundle.write().dir()).arg(t.id("c"));
    run.env("XDG_RUNTIME_DIR", &dir).output().fails_with(&["the user's D-Bus", "enable-linger"]);
}

fn container_of_a_user_namespace_owns_its_cgroup(t: &Test) {
    if !is_unified() {
        skip("only cgroup v2 can be handed on");
        return;
    }
    for (option, owner) in [("rw", "0"), ("ro", "65534")] {
        for way in Way::all(t) {
            let mut bundle =
                t.shell("stat -c %u /sys/fs/cgroup /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/cgroup.events");
            bundle.ids(Ids::Single(1_000_000, 1_000_000));
            // The root file system must belong to the container.
            let chown = t.command("chown").args(&["-R", "1000000:1000000"]).arg(bundle.rootfs("/"));
            chown.output().ok();
            let mount = json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                               "options": ["nosuid", "noexec", "nodev", option]});
            bundle.set("/mounts/-", mount);
            let output = way.run(t, &bundle).ok();
            // What is not delegated still belongs to the host's root, who is nobody in the container.
            assert_eq!(output.text(), format!("{owner}\n{owner}\n65534"), "{way:?} {option}: {output}");
        }
    }
}
