//! cgroup v2 as the host has it, or mounted on /sys/fs/cgroup in a mount namespace of the test's own. Skipped
//! with a message unless run as root.

mod common;

use std::path::Path;
use std::process::Command;

use common::{Guard, MOUNT, Shell, devices, is_root, name, read, request};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use rootling_cgroup::{Cgroup, CgroupError, Request};

/// Runs `test` with a cgroup2 mount on /sys/fs/cgroup.
fn on_cgroup2(test: impl FnOnce() + Send + 'static) {
    if !is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    // A mount namespace belongs to a thread, so other threads keep theirs.
    let thread = std::thread::spawn(move || {
        if statfs(MOUNT).is_ok_and(|s| s.filesystem_type() != CGROUP2_SUPER_MAGIC) {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
            mount(Some("cgroup2"), MOUNT, Some("cgroup2"), MsFlags::empty(), none).unwrap();
        }
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn a_container_is_placed_frozen_killed_and_removed() {
    on_cgroup2(|| {
        let id = name("life");
        let none = common::limits("{}");
        let mut cgroup = Guard(Cgroup::prepare(&request(&id, &none)).unwrap());
        assert!(cgroup.0.clone_into().is_some());
        let path = cgroup.0.paths()[""].clone();
        assert!(path.starts_with(MOUNT) && path.ends_with(&id), "{path}");
        let mut shell = Shell::new("sleep 60 & sleep 60");
        cgroup.0.attach(shell.pid()).unwrap();
        assert_eq!(cgroup.0.pids(), [shell.pid()]);
        assert!(cgroup.0.clone_into_that_of(shell.pid()).is_some());

        let json = serde_json::to_string(&cgroup.0).unwrap();
        let cgroup = Guard(serde_json::from_str(&json).unwrap());
        cgroup.0.freeze().unwrap();
        assert!(cgroup.0.is_frozen().unwrap());
        let error = Cgroup::prepare(&request(&id, &none)).unwrap_err();
        assert!(matches!(error, CgroupError::NotEmpty { .. }), "{error}");
        cgroup.0.thaw().unwrap();
        assert!(!cgroup.0.is_frozen().unwrap());
        cgroup.0.kill_all(Signal::SIGTERM as i32).unwrap();
        assert!(!shell.child.wait().unwrap().success());
        assert!(cgroup.0.is_empty());
        cgroup.0.remove().unwrap();
        assert!(!Path::new(&path).exists());
    });
}

#[test]
fn sub_cgroups_are_killed_and_removed_with_it() {
    on_cgroup2(|| {
        let id = name("nested");
        let none = common::limits("{}");
        let cgroup = Guard(Cgroup::prepare(&request(&id, &none)).unwrap());
        let path = cgroup.0.paths()[""].clone();
        std::fs::create_dir_all(format!("{path}/a/b")).unwrap();
        let mut shell = Shell::new("true");
        let mut sub = cgroup.0.sub("a/b").unwrap();
        sub.attach(shell.pid()).unwrap();
        assert_eq!(cgroup.0.pids(), [shell.pid()]);
        assert!(cgroup.0.sub("c").is_err());
        assert!(cgroup.0.sub("../../..").unwrap().paths()[""].starts_with(&path));
        cgroup.0.kill_all(Signal::SIGKILL as i32).unwrap();
        shell.child.wait().unwrap();
        cgroup.0.remove().unwrap();
        assert!(!Path::new(&path).exists());
    });
}

#[test]
fn a_process_that_lingers_is_waited_for() {
    on_cgroup2(|| {
        let id = name("linger");
        let none = common::limits("{}");
        let mut cgroup = Guard(Cgroup::prepare(&request(&id, &none)).unwrap());
        let shell = Shell::new("sleep 0.1");
        cgroup.0.attach(shell.pid()).unwrap();
        let reaper = std::thread::spawn(move || shell.go());
        cgroup.0.remove().unwrap();
        assert!(reaper.join().unwrap());
    });
}

#[test]
fn only_the_default_devices_are_open() {
    on_cgroup2(|| {
        let id = name("devices");
        let none = common::limits("{}");
        let mut cgroup = Guard(Cgroup::prepare(&request(&id, &none)).unwrap());
        cgroup.0.apply(&none, &[]).unwrap();
        let script = ": >/dev/null && : </dev/urandom && ! (: </dev/kmsg) 2>/dev/null";
        let shell = Shell::new(script);
        cgroup.0.attach(shell.pid()).unwrap();
        assert!(shell.go());
        // New rules replace the old ones; otherwise two programs would both have to allow an access.
        let kmsg = r#"[{"allow":true,"type":"c","major":1,"minor":11,"access":"r"}]"#;
        cgroup.0.apply(&none, &devices(kmsg)).unwrap();
        let shell = Shell::new(": </dev/kmsg && ! (: >/dev/kmsg) 2>/dev/null");
        cgroup.0.attach(shell.pid()).unwrap();
        assert!(shell.go());
    });
}

#[test]
fn a_controller_that_the_host_has_is_enabled_and_one_that_it_lacks_is_named() {
    on_cgroup2(|| {
        let offered = read(MOUNT, "cgroup.controllers");
        let parent = name("limits");
        let path = format!("/{parent}/web");
        let limits = common::limits(r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#);
        if offered.contains("hugetlb") {
            let cgroup = Cgroup::prepare(&Request { path: Some(&path), ..request("web", &limits) });
            let cgroup = Guard(cgroup.unwrap());
            cgroup.0.apply(&limits, &[]).unwrap();
            assert_eq!(read(&cgroup.0.paths()[""], "hugetlb.2MB.max"), "4194304");
        }
        if !offered.contains("rdma") {
            let limits = common::limits(r#"{"unified":{"rdma.max":"x hca_handle=1"}}"#);
            let error = Cgroup::prepare(&Request { path: Some(&path), ..request("web", &limits) });
            let error = error.unwrap_err().to_string();
            assert!(error.contains("controller(s) rdma"), "{error}");
            assert!(!Path::new(MOUNT).join(&path[1..]).exists());
        }
        let _ = std::fs::remove_dir(Path::new(MOUNT).join(&parent));
    });
}

/// Tells [`a_delegated_subtree`] that [`a_delegated_subtree_is_enough_for_an_ordinary_user`] runs it.
const DELEGATED: &str = "ROOTLING_TEST_DELEGATED";

#[test]
fn a_delegated_subtree_is_enough_for_an_ordinary_user() {
    on_cgroup2(|| {
        if read(MOUNT, "cgroup.controllers").contains("hugetlb") {
            let _ = std::fs::write(Path::new(MOUNT).join("cgroup.subtree_control"), "+hugetlb");
        }
        let subtree = Path::new(MOUNT).join(name("delegated"));
        std::fs::create_dir_all(subtree.join("session")).unwrap();
        let owned = ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "session"];
        for file in owned {
            std::os::unix::fs::chown(subtree.join(file), Some(65534), Some(65534)).unwrap();
        }
        let script = r#"echo 0 >"$1/session/cgroup.procs" &&
            exec setpriv --reuid 65534 --regid 65534 --clear-groups "$0" --exact a_delegated_subtree --nocapture"#;
        let output = Command::new("/bin/sh")
            .args(["-c", script])
            .arg(std::env::current_exe().unwrap())
            .arg(&subtree)
            .env(DELEGATED, &subtree)
            .current_dir("/")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        std::fs::remove_dir(subtree.join("session")).unwrap();
        std::fs::remove_dir(&subtree).unwrap();
        if text.contains("Permission denied") && output.status.code() == Some(126) {
            eprintln!("skipped: the test program cannot be run as nobody");
            return;
        }
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    });
}

/// Not a test by itself: [`a_delegated_subtree_is_enough_for_an_ordinary_user`] runs it.
#[test]
fn a_delegated_subtree() {
    let Some(subtree) = std::env::var_os(DELEGATED) else { return };
    let id = name("user");
    let none = common::limits("{}");
    let mut cgroup = Guard(Cgroup::prepare(&Request { rootless: true, ..request(&id, &none) }).unwrap());
    assert_eq!(cgroup.0.paths()[""], Path::new(&subtree).join(&id).to_str().unwrap());
    let mut shell = Shell::new("true");
    cgroup.0.attach(shell.pid()).unwrap();
    cgroup.0.apply(&none, &[]).unwrap();
    assert_eq!(cgroup.0.pids(), [shell.pid()]);
    cgroup.0.kill_all(Signal::SIGKILL as i32).unwrap();
    shell.child.wait().unwrap();
    drop(cgroup);

    let limits = common::limits(r#"{"hugepageLimits":[{"pageSize":"2MB","limit":2097152}]}"#);
    let id = name("limited");
    let limited = Cgroup::prepare(&Request { rootless: true, ..request(&id, &limits) });
    if read(&subtree, "cgroup.controllers").contains("hugetlb") {
        let cgroup = Guard(limited.unwrap());
        cgroup.0.apply(&limits, &[]).unwrap();
        assert_eq!(read(&cgroup.0.paths()[""], "hugetlb.2MB.max"), "2097152");
    }
    let limits = common::limits(r#"{"memory":{"limit":67108864}}"#);
    if !read(&subtree, "cgroup.controllers").contains("memory") {
        let error = Cgroup::prepare(&Request { rootless: true, ..request(&id, &limits) }).unwrap_err();
        assert!(error.to_string().contains("Delegate=cpu cpuset io memory"), "{error}");
    }
}
