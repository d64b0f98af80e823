use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use serde_json::json;
use tempfile::TempDir;

use super::super::tests::profile;
use super::*;

fn sample(name: &str) -> LinuxSeccomp {
    profile(json!({
        "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{ "names": [name], "action": "SCMP_ACT_ALLOW" }]
    }))
}

fn cached(dir: &Path, seccomp: &LinuxSeccomp) -> Program {
    load_or_compile(dir, seccomp).expect("compiles").expect("a program")
}

fn fresh(seccomp: &LinuxSeccomp) -> Program {
    compile(seccomp).expect("compiles").expect("a program")
}

fn files(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).expect("readable").map(|entry| entry.expect("entry").path()).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("metadata").permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

/// A directory with one cached profile, whose program was replaced by a marker: code that returns the marker has read
/// the cache.
fn planted() -> (TempDir, PathBuf, PathBuf, LinuxSeccomp, Program) {
    let parent = tempfile::tempdir().expect("tempdir");
    let dir = parent.path().join("cache");
    let seccomp = sample("read");
    cached(&dir, &seccomp);
    let file = files(&dir).pop().expect("one file");
    let marker = Program { bpf: vec![6, 0, 0, 0, 1, 2, 3, 4], flags: 77, notify: false };
    let mut key = key::machine();
    key.extend(key::profile(&seccomp));
    fs::write(&file, encode(&key, &marker)).expect("write");
    (parent, dir, file, seccomp, marker)
}

#[test]
fn a_profile_is_compiled_once_and_then_read() {
    let (_parent, dir, _file, seccomp, marker) = planted();
    assert_eq!(cached(&dir, &seccomp), marker);
    assert_eq!(cached(&dir, &sample("write")), fresh(&sample("write")));
    assert_eq!(files(&dir).len(), 2);
}

#[test]
fn directory_and_file_are_the_owners_alone() {
    let parent = tempfile::tempdir().expect("tempdir");
    let dir = parent.path().join("a/b");
    assert_eq!(cached(&dir, &sample("read")), fresh(&sample("read")));
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&parent.path().join("a")), 0o700);
    let [file] = &files(&dir)[..] else { panic!("one file, and nothing temporary") };
    assert_eq!(mode(file), 0o600);
}

#[test]
fn a_file_or_directory_that_others_can_write_is_not_trusted() {
    let (_parent, dir, file, seccomp, marker) = planted();
    for bad in [0o660, 0o606, 0o666] {
        let content = fs::read(&file).expect("read");
        set_mode(&file, bad);
        assert_eq!(cached(&dir, &seccomp), fresh(&seccomp), "{bad:o}");
        // It was replaced with a new file, which is changed back to the marker.
        assert_eq!(mode(&file), 0o600);
        fs::write(&file, content).expect("write");
    }
    for bad in [0o770, 0o707, 0o1777] {
        set_mode(&dir, bad);
        assert_eq!(cached(&dir, &seccomp), fresh(&seccomp), "{bad:o}");
    }
    set_mode(&dir, 0o700);
    assert_eq!(cached(&dir, &seccomp), marker);
}

#[test]
fn symbolic_links_are_not_followed() {
    let (parent, dir, file, seccomp, marker) = planted();
    let link = parent.path().join("link");
    symlink(&dir, &link).expect("symlink");
    assert_eq!(cached(&link, &seccomp), fresh(&seccomp));

    let elsewhere = parent.path().join("elsewhere");
    fs::rename(&file, &elsewhere).expect("rename");
    symlink(&elsewhere, &file).expect("symlink");
    assert_eq!(cached(&dir, &seccomp), fresh(&seccomp));
    // The link was replaced with a new file, and what it pointed to was left alone.
    assert!(fs::symlink_metadata(&file).expect("metadata").is_file());
    assert_ne!(cached(&dir, &seccomp), marker);
    assert!(elsewhere.exists());
}

#[test]
fn a_damaged_file_is_compiled_anew() {
    let (_parent, dir, file, seccomp, marker) = planted();
    let good = fs::read(&file).expect("read");
    let mut variants: Vec<Vec<u8>> = (0..good.len()).map(|end| good[..end].to_vec()).collect();
    variants.extend((0..good.len()).map(|at| {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        bytes
    }));
    variants.push([&good[..], b"x"].concat());
    let mut key = key::machine();
    key.extend(key::profile(&seccomp));
    for bytes in variants {
        assert_eq!(decode(&bytes, &key), None);
    }
    fs::write(&file, &good[..good.len() - 1]).expect("write");
    assert_eq!(cached(&dir, &seccomp), fresh(&seccomp));
    fs::write(&file, &good).expect("write");
    assert_eq!(cached(&dir, &seccomp), marker);
}

#[test]
fn a_file_of_another_profile_or_machine_is_not_used() {
    let (_parent, dir, file, seccomp, marker) = planted();
    let mut other = key::machine();
    other.extend(key::profile(&sample("write")));
    fs::write(&file, encode(&other, &marker)).expect("write");
    assert_eq!(cached(&dir, &seccomp), fresh(&seccomp));

    let mut elsewhere = key::machine();
    elsewhere.push(0);
    elsewhere.extend(key::profile(&seccomp));
    fs::write(&file, encode(&elsewhere, &marker)).expect("write");
    assert_eq!(cached(&dir, &seccomp), fresh(&seccomp));
}

#[test]
fn a_cache_that_cannot_be_used_is_no_error() {
    let parent = tempfile::tempdir().expect("tempdir");
    let file = parent.path().join("file");
    fs::write(&file, "").expect("write");
    for dir in [file.clone(), file.join("below"), PathBuf::from("/proc/no/such"), PathBuf::new()] {
        assert_eq!(cached(&dir, &sample("read")), fresh(&sample("read")), "{}", dir.display());
    }
}

#[test]
fn errors_and_off_do_not_touch_the_cache() {
    let parent = tempfile::tempdir().expect("tempdir");
    let dir = parent.path().join("cache");
    assert_eq!(load_or_compile(&dir, &LinuxSeccomp::default()), Ok(None));
    let bad = profile(json!({ "defaultAction": "SCMP_ACT_NOTIFY" }));
    assert_eq!(load_or_compile(&dir, &bad), compile(&bad));
    assert!(!dir.exists());
}

#[test]
fn the_cache_stays_small() {
    let parent = tempfile::tempdir().expect("tempdir");
    let dir = parent.path().join("cache");
    cached(&dir, &sample("read"));
    for number in 0..100 {
        fs::write(dir.join(format!("{number:016x}{SUFFIX}")), "").expect("write");
    }
    fs::write(dir.join(".0.bpf.1"), "").expect("write");
    fs::write(dir.join("unrelated"), "").expect("write");
    cached(&dir, &sample("write"));
    assert_eq!(files(&dir).len(), MAX_ENTRIES + 1);
    assert!(dir.join("unrelated").exists());
}

#[test]
fn only_what_changes_the_program_changes_the_key() {
    let arg = json!({ "index": 0, "value": 1, "op": "SCMP_CMP_EQ" });
    let rule = json!({ "names": ["read", "write"], "action": "SCMP_ACT_ALLOW", "args": [arg] });
    let base = json!({ "defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule] });
    let key_with = |object: &str, field: &str, value: &serde_json::Value| {
        let mut changed = base.clone();
        changed.pointer_mut(object).expect("object")[field] = value.clone();
        key::profile(&profile(changed))
    };
    let key = key::profile(&profile(base.clone()));
    for (object, field, value) in [
        ("", "defaultAction", json!("SCMP_ACT_TRAP")),
        ("", "defaultErrnoRet", json!(1)),
        ("", "architectures", json!(["SCMP_ARCH_X86"])),
        ("", "flags", json!([])),
        ("", "flags", json!(["SECCOMP_FILTER_FLAG_LOG"])),
        ("/syscalls/0", "names", json!(["readwrite"])),
        ("/syscalls/0", "names", json!(["rea", "dwrite"])),
        ("/syscalls/0", "action", json!("SCMP_ACT_LOG")),
        ("/syscalls/0", "errnoRet", json!(1)),
        ("/syscalls/0", "args", json!([])),
        ("/syscalls/0/args/0", "value", json!(2)),
        ("/syscalls/0/args/0", "valueTwo", json!(2)),
        ("/syscalls/0/args/0", "op", json!("SCMP_CMP_NE")),
    ] {
        assert_ne!(key_with(object, field, &value), key, "{field}: {value}");
    }
    for field in ["listenerPath", "listenerMetadata"] {
        assert_eq!(key_with("", field, &json!("/run/a")), key, "{field}");
    }
}
