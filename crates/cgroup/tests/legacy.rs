//! cgroup v1 as the host has it. Skipped with a message unless run as root, and on hosts with only cgroup v2.

mod common;

use std::path::Path;

use common::{Guard, MOUNT, Shell, devices, is_root, limits, name, read, request};
use nix::sys::signal::Signal;
use rootling_cgroup::{Cgroup, CgroupError, Request};

fn can_run() -> bool {
    let can = is_root() && Path::new(MOUNT).join("pids/cgroup.procs").exists();
    if !can {
        eprintln!("skipped: needs root and cgroup v1");
    }
    can
}

#[test]
fn a_container_is_placed_limited_frozen_killed_and_removed() {
    if !can_run() {
        return;
    }
    let id = name("life");
    let limits = limits(
        r#"{"memory":{"limit":67108864},"cpu":{"shares":512,"quota":50000,"period":100000,"cpus":"0"},"pids":{"limit":7}}"#,
    );
    let mut cgroup = Guard(Cgroup::prepare(&request(&id, &limits)).unwrap());
    assert!(cgroup.0.clone_into().is_none());
    let mut shell = Shell::new("true");
    cgroup.0.attach(shell.pid()).unwrap();
    assert_eq!(cgroup.0.apply(&limits, &[]).unwrap(), Vec::<String>::new());

    let paths = cgroup.0.paths();
    for (controller, file, value) in [
        ("memory", "memory.limit_in_bytes", "67108864"),
        ("cpu", "cpu.shares", "512"),
        ("cpu", "cpu.cfs_quota_us", "50000"),
        ("cpuset", "cpuset.cpus", "0"),
        ("pids", "pids.max", "7"),
    ] {
        assert_eq!(read(&paths[controller], file), value, "{file}");
        assert!(paths[controller].ends_with(&id));
    }
    assert_eq!(cgroup.0.pids(), [shell.pid()]);

    // What is read back from state.json can do the rest.
    let json = serde_json::to_string(&cgroup.0).unwrap();
    let cgroup = Guard(serde_json::from_str(&json).unwrap());
    cgroup.0.freeze().unwrap();
    assert!(cgroup.0.is_frozen().unwrap());
    cgroup.0.thaw().unwrap();
    assert!(!cgroup.0.is_frozen().unwrap());
    cgroup.0.update(&common::limits(r#"{"memory":{"limit":134217728}}"#)).unwrap();
    assert_eq!(read(&paths["memory"], "memory.limit_in_bytes"), "134217728");
    cgroup.0.kill_all(Signal::SIGKILL as i32).unwrap();
    assert!(!shell.child.wait().unwrap().success());
    cgroup.0.remove().unwrap();
    for path in paths.values() {
        assert!(!Path::new(path).exists(), "{path}");
    }
    cgroup.0.remove().unwrap();
}

#[test]
fn only_the_default_devices_are_open() {
    if !can_run() {
        return;
    }
    let id = name("devices");
    let none = limits("{}");
    let mut cgroup = Guard(Cgroup::prepare(&request(&id, &none)).unwrap());
    let shell = Shell::new(": >/dev/null && : </dev/urandom && ! (: </dev/kmsg) 2>/dev/null");
    cgroup.0.attach(shell.pid()).unwrap();
    cgroup.0.apply(&none, &[]).unwrap();
    assert!(shell.go());
    cgroup
        .0
        .apply(&none, &devices(r#"[{"allow":true,"type":"c","major":1,"minor":11,"access":"r"}]"#))
        .unwrap();
    let shell = Shell::new(": </dev/kmsg");
    cgroup.0.attach(shell.pid()).unwrap();
    assert!(shell.go());
}

#[test]
fn a_cgroup_with_a_process_is_refused() {
    if !can_run() {
        return;
    }
    let id = name("full");
    let none = limits("{}");
    let mut cgroup = Guard(Cgroup::prepare(&request(&id, &none)).unwrap());
    let shell = Shell::new("true");
    cgroup.0.attach(shell.pid()).unwrap();
    let error = Cgroup::prepare(&request(&id, &none)).unwrap_err();
    assert!(matches!(error, CgroupError::NotEmpty { count: 1, .. }), "{error}");
    cgroup.0.freeze().unwrap();
    assert!(Cgroup::prepare(&request(&id, &none)).is_err());
    cgroup.0.kill_all(Signal::SIGKILL as i32).unwrap();
}

#[test]
fn an_absolute_path_and_sub_cgroups_are_removed_together() {
    if !can_run() {
        return;
    }
    let parent = name("parent");
    let path = format!("/{parent}/web");
    let none = limits("{}");
    let request = Request { path: Some(&path), ..request("web", &none) };
    let cgroup = Guard(Cgroup::prepare(&request).unwrap());
    let pids = cgroup.0.paths()["pids"].clone();
    assert!(pids.ends_with(&path));
    std::fs::create_dir_all(format!("{pids}/a/b")).unwrap();
    assert!(cgroup.0.sub("a/b").is_err(), "not in every hierarchy");
    drop(cgroup);
    assert!(!Path::new(&pids).exists());
    // Other containers may share the parent, so it is not removed; this one belongs to the test.
    for mount in std::fs::read_dir(MOUNT).unwrap() {
        let _ = std::fs::remove_dir(mount.unwrap().path().join(&parent));
    }
}

#[test]
fn unified_resources_are_an_error() {
    if !can_run() {
        return;
    }
    let id = name("unified");
    let error = Cgroup::prepare(&request(&id, &limits(r#"{"unified":{"pids.max":"5"}}"#))).unwrap_err();
    assert!(matches!(error, CgroupError::UnifiedOnV1), "{error}");
}
