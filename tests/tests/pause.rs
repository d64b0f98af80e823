//! `pause` and `resume`.

use std::fs;

use rootling_tests::cgroups::{Way, is_unified};
use rootling_tests::{Test, both, eventually, root, user};

both!(counter_stops_and_goes_on, paused_container_can_be_deleted, wrong_states_are_errors,);
root!(what_something_inside_has_frozen_ends_with_the_container);
user!(without_a_cgroup_nothing_can_be_paused);

/// What the container has counted so far.
fn count(t: &Test, file: &str) -> usize {
    fs::read(t.path(file)).map_or(0, |bytes| bytes.len())
}

fn counting(t: &Test, way: Way) -> rootling_tests::Bundle {
    let mut bundle = t.shell("while :; do printf .; sleep 0.01; done >/count/dots");
    let dir = t.path("count");
    let _ = fs::remove_dir_all(&dir);
    t.command("mkdir").arg(&dir).output().ok();
    let mount = serde_json::json!({"destination": "/count", "type": "bind", "source": dir, "options": ["bind", "rw"]});
    bundle.set("/mounts/-", mount);
    let _ = way.start(t, &bundle);
    eventually("it counts", || count(t, "count/dots") > 0);
    bundle
}

fn counter_stops_and_goes_on(t: &Test) {
    for way in Way::all(t) {
        let _bundle = counting(t, way);
        t.rootling(&["pause", &t.id("c")]).output().ok();
        assert_eq!(t.status("c"), "paused", "{way:?}");
        let stopped = count(t, "count/dots");
        std::thread::sleep(std::time::Duration::from_millis(300));
        assert_eq!(count(t, "count/dots"), stopped, "{way:?}");
        t.rootling(&["resume", &t.id("c")]).output().ok();
        assert_eq!(t.status("c"), "running", "{way:?}");
        eventually("it goes on", || count(t, "count/dots") > stopped);
        t.delete_force("c").ok();
    }
}

fn paused_container_can_be_deleted(t: &Test) {
    for way in Way::all(t) {
        let _bundle = counting(t, way);
        t.rootling(&["pause", &t.id("c")]).output().ok();
        t.delete_force("c").ok();
        t.rootling(&["state", &t.id("c")]).output().fails_with(&["does not exist"]);
    }
}

fn wrong_states_are_errors(t: &Test) {
    for way in Way::all(t) {
        let _bundle = counting(t, way);
        let id = t.id("c");
        t.rootling(&["resume", &id]).output().fails_with(&["container not paused"]);
        t.rootling(&["pause", &id]).output().ok();
        t.rootling(&["pause", &id]).output().fails_with(&["container not running", "paused"]);
        t.rootling(&["kill", &id, "KILL"]).output().ok();
        eventually("SIGKILL ends what is paused", || t.status("c") == "stopped");
        t.rootling(&["pause", &id]).output().fails_with(&["container not running", "stopped"]);
        t.rootling(&["delete", &id]).output().ok();
        t.rootling(&["pause", &id]).output().fails_with(&["does not exist"]);
    }
}

fn without_a_cgroup_nothing_can_be_paused(t: &Test) {
    if is_unified() {
        rootling_tests::skip("an ordinary user may have a cgroup here");
        return;
    }
    let bundle = t.bundle(&["sleep", "1000"]);
    t.create(bundle.write(), "c").ok();
    t.start("c").ok();
    t.rootling(&["pause", &t.id("c")]).output().fails_with(&["needs a cgroup", "Delegate"]);
    assert_eq!(t.status("c"), "running");
    t.delete_force("c").ok();
}

/// Similar to a container in the container: SIGKILL alone would not end what the version 1 freezer holds, and then
/// the first process of the pid namespace would wait for it forever.
fn what_something_inside_has_frozen_ends_with_the_container(t: &Test) {
    let id = t.id("c");
    for way_to_end in
        [&["kill", &id, "KILL"][..], &["kill", "--all", &id, "KILL"], &["delete", "--force", &id]]
    {
        let bundle = t.shell("sleep 1000 & sleep 1000; :");
        let cgroup = Way::Path.start(t, &bundle);
        let pids = || t.rootling(&["ps", "-f", "json", &id]).output().ok().json();
        eventually("all have started", || pids().as_array().is_some_and(|pids| pids.len() == 3));
        let below = cgroup.dir("freezer").join("below");
        fs::create_dir(&below).expect("mkdir");
        fs::write(below.join("cgroup.procs"), pids()[1].to_string()).expect("attach");
        let (file, frozen) = if is_unified() { ("cgroup.freeze", "1") } else { ("freezer.state", "FROZEN") };
        fs::write(below.join(file), frozen).expect("freeze");
        assert_eq!(t.status("c"), "running", "only a part of it is frozen");
        t.rootling(way_to_end).output().ok();
        if way_to_end[0] == "kill" {
            eventually("it has ended", || t.status("c") == "stopped");
            t.rootling(&["delete", &id]).output().ok();
        }
        assert!(!cgroup.exists(), "{way_to_end:?}");
    }
}
