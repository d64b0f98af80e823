//! Damage to the state directory: a container whose record is no longer what was written is still ended by a forced
//! delete, and one that cannot be found is not forgotten.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::signal::kill;
use nix::unistd::Pid;
use rootling_tests::{Bundle, Test, both, eventually, leaks, repeats};
use serde_json::{Value, json};

both!(
    container_with_one_damaged_file_is_ended_by_a_forced_delete,
    record_that_names_another_process_is_damaged,
    container_with_a_record_of_another_is_damaged,
    container_whose_processes_cannot_be_found_is_not_forgotten,
    delete_that_is_killed_leaves_what_the_next_one_removes,
    half_made_container_is_removed,
);

/// The files that a running container has in its state directory.
const FILES: [&str; 3] = ["state.json", "recovery", "process.json"];

fn state_file(t: &Test, name: &str) -> std::path::PathBuf {
    t.state_root().join(t.id("c")).join(name)
}

/// Starts the container; returns the pid of its program.
fn start(t: &Test, bundle: &Bundle) -> Pid {
    t.run_detached(bundle, "c").ok();
    Pid::from_raw(t.state("c")["pid"].as_i64().expect("a pid") as i32)
}

fn lives(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn replace(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("write the file");
}

/// A change to a file, with its name.
type Damage = (String, Box<dyn Fn(&Path)>);

/// All changes that are made to a file with these contents.
fn damages(bytes: &[u8]) -> Vec<Damage> {
    let mut all: Vec<Damage> = vec![
        ("empty".into(), Box::new(|path| replace(path, b""))),
        ("missing".into(), Box::new(|path| fs::remove_file(path).expect("remove the file"))),
        ("other JSON".into(), Box::new(|path| replace(path, b"[1]"))),
        ("an object".into(), Box::new(|path| replace(path, b"{}"))),
        ("no UTF-8".into(), Box::new(|path| replace(path, &[0xff; 200]))),
        (
            "a directory".into(),
            Box::new(|path| {
                fs::remove_file(path).expect("remove the file");
                fs::create_dir(path).expect("make a directory");
            }),
        ),
        (
            "a link".into(),
            Box::new(|path| {
                fs::remove_file(path).expect("remove the file");
                symlink("/dev/zero", path).expect("make a link");
            }),
        ),
    ];
    for part in 1..4 {
        let cut = bytes[..bytes.len() * part / 4].to_vec();
        all.push((format!("cut after {part} quarters"), Box::new(move |path| replace(path, &cut))));
    }
    // With a different digit it is still JSON, and so it is with a different letter in a path.
    let places: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at].is_ascii_alphanumeric()).collect();
    for place in places.iter().step_by((places.len() / repeats(12)).max(1)) {
        let mut changed = bytes.to_vec();
        changed[*place] ^= 1;
        all.push((format!("byte {place} changed"), Box::new(move |path| replace(path, &changed))));
    }
    all
}

fn container_with_one_damaged_file_is_ended_by_a_forced_delete(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000000"]);
    bundle.write();
    for name in FILES {
        start(t, &bundle);
        let bytes = fs::read(state_file(t, name)).expect("read the file");
        t.delete_force("c").ok();
        for (what, damage) in damages(&bytes) {
            let pid = start(t, &bundle);
            damage(&state_file(t, name));
            let delete = t.delete_force("c");
            assert_eq!(delete.exit(), 0, "{name}: {what}: {delete}");
            assert!(!lives(pid), "{name}: {what}: the program lives: {delete}");
            assert!(!state_file(t, "").exists(), "{name}: {what}: {delete}");
        }
    }
}

/// Changes the record of the running container.
fn change(t: &Test, change: &dyn Fn(&mut Value)) {
    let path = state_file(t, "state.json");
    let mut record: Value = serde_json::from_slice(&fs::read(&path).expect("read it")).expect("a record");
    change(&mut record);
    replace(&path, record.to_string().as_bytes());
}

fn record_that_names_another_process_is_damaged(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000000"]);
    bundle.write();
    for (pointer, value) in [("pid", json!(1)), ("pid", json!(0x3fff_ffff)), ("start_time", json!(7))] {
        let pid = start(t, &bundle);
        change(t, &|record| record["init"][pointer] = value.clone());
        for command in ["state", "delete", "pause", "start"] {
            t.rootling(&[command, &t.id("c")])
                .output()
                .fails_with(&["is damaged", "name different processes"]);
            assert!(lives(pid), "{command} has ended it");
        }
        t.delete_force("c").ok();
        assert!(!lives(pid), "{pointer}");
    }
    // If the record has none, the other file decides.
    let pid = start(t, &bundle);
    change(t, &|record| drop(record.as_object_mut().expect("an object").remove("init")));
    assert_eq!(t.state("c")["pid"], pid.as_raw());
    t.rootling(&["delete", &t.id("c")]).output().fails_with(&["is not stopped: running"]);
    t.delete_force("c").ok();
    assert!(!lives(pid));
}

fn container_with_a_record_of_another_is_damaged(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000000"]);
    let pid = start(t, bundle.write());
    change(t, &|record| record["id"] = json!("another"));
    t.rootling(&["state", &t.id("c")]).output().fails_with(&["is of another container, \"another\""]);
    t.delete_force("c").ok();
    assert!(!lives(pid));
}

fn container_whose_processes_cannot_be_found_is_not_forgotten(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000000"]);
    let pid = start(t, bundle.write());
    for name in ["state.json", "recovery"] {
        replace(&state_file(t, name), b"{");
    }
    let judge = || {
        let delete = t.delete_force("c");
        let directory = state_file(t, "");
        let directory = directory.to_str().expect("UTF-8").trim_end_matches('/');
        delete.code(1).fails_with(&["cannot be found", "state.json", "recovery", directory, "by hand"]);
        assert!(lives(pid));
    };
    judge();
    for name in ["state.json", "recovery"] {
        fs::remove_file(state_file(t, name)).expect("remove the file");
        judge();
    }
    kill(pid, nix::sys::signal::SIGKILL).expect("end it by hand");
    eventually("it has ended", || !lives(pid));
    fs::remove_dir_all(state_file(t, "")).expect("remove it by hand");
    leaks::remove_cgroups(t.marker());
}

/// Whatever a killed delete has already removed, the next one completes its work.
fn delete_that_is_killed_leaves_what_the_next_one_removes(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000000"]);
    bundle.write();
    start(t, &bundle);
    let all: Vec<String> = fs::read_dir(state_file(t, ""))
        .expect("read the directory")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    t.delete_force("c").ok();
    assert!(FILES.iter().all(|name| all.iter().any(|found| found == name)), "{all:?}");
    // The record is removed last.
    let others: Vec<&String> = all.iter().filter(|name| *name != "state.json").collect();
    for count in 1..=others.len() {
        let pid = start(t, &bundle);
        kill(pid, nix::sys::signal::SIGKILL).expect("end it");
        eventually("it has ended", || !lives(pid));
        for name in &others[..count] {
            fs::remove_file(state_file(t, name)).expect("remove the file");
        }
        t.rootling(&["delete", &t.id("c")]).output().ok();
        assert!(!state_file(t, "").exists(), "{:?}", &others[..count]);
    }
}

fn half_made_container_is_removed(t: &Test) {
    let bundle = t.bundle(&["true"]);
    t.run(bundle.write()).ok();
    t.command("mkdir").args(&["-m", "700"]).arg(state_file(t, "")).output().ok();
    t.rootling(&["delete", &t.id("c")]).output().fails_with(&["is damaged (no state.json)", "--force"]);
    t.delete_force("c").ok();
    assert!(!state_file(t, "").exists());
}
