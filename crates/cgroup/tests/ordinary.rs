//! An ordinary user without a delegated cgroup. Root runs these tests as nobody.

mod common;

use std::os::unix::process::CommandExt;
use std::process::Command;

use common::{is_root, limits, name};
use rootling_cgroup::{Cgroup, CgroupError, Request};
use rootling_config::CgroupManager;

/// Runs the rest of the calling test as an ordinary user; returns false if that was done already, or cannot be
/// done.
fn as_ordinary_user(test: &str) -> bool {
    if !is_root() {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    match command.args(["--exact", test]).current_dir("/").uid(65534).gid(65534).output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
        Err(e) => eprintln!("skipped: the test program cannot be run as nobody: {e}"),
    }
    false
}

fn request<'a>(id: &'a str, path: Option<&'a str>) -> Request<'a> {
    Request { id, path, manager: CgroupManager::Cgroupfs, limits: None, rootless: true }
}

#[test]
fn nothing_asked_for_is_no_cgroup_and_no_error() {
    if !as_ordinary_user("nothing_asked_for_is_no_cgroup_and_no_error") {
        return;
    }
    let id = name("none");
    let mut cgroup = Cgroup::prepare(&request(&id, None)).unwrap();
    cgroup.attach(std::process::id().cast_signed()).unwrap();
    assert!(cgroup.apply(&limits("{}"), &[]).unwrap().is_empty());
    assert!(cgroup.kill_all(9).is_ok() && cgroup.is_empty());
    cgroup.remove().unwrap();
}

#[test]
fn a_path_that_is_not_writable_is_an_error() {
    if !as_ordinary_user("a_path_that_is_not_writable_is_an_error") {
        return;
    }
    let id = name("path");
    let error = Cgroup::prepare(&request(&id, Some(&format!("/{id}")))).unwrap_err().to_string();
    assert!(error.contains("unable to apply cgroup configuration"), "{error}");
    assert!(error.contains("permission denied"), "{error}");
}

#[test]
fn a_limit_without_delegation_names_controller_and_remedy() {
    if !as_ordinary_user("a_limit_without_delegation_names_controller_and_remedy") {
        return;
    }
    let id = name("limit");
    let path = format!("/{id}");
    let limits = limits(r#"{"memory":{"limit":67108864},"pids":{"limit":5}}"#);
    let request = Request { limits: Some(&limits), ..request(&id, Some(&path)) };
    let error = Cgroup::prepare(&request).unwrap_err();
    assert!(matches!(error, CgroupError::ControllerUnavailable { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("memory") && text.contains("pids"), "{text}");
    assert!(text.contains("elegate"), "{text}");
}

#[test]
fn systemd_where_it_does_not_run_says_so() {
    if std::path::Path::new("/run/systemd/system").is_dir() {
        eprintln!("skipped: systemd runs here");
        return;
    }
    let id = name("systemd");
    let request = Request { manager: CgroupManager::Systemd, ..request(&id, None) };
    let error = Cgroup::prepare(&request).unwrap_err().to_string();
    assert!(error.contains("systemd not running on this host"), "{error}");
}

#[test]
fn a_disabled_driver_ignores_limits() {
    let limits = limits(r#"{"pids":{"limit":5}}"#);
    let request =
        Request { manager: CgroupManager::Disabled, limits: Some(&limits), ..request("off", Some("/off")) };
    assert!(Cgroup::prepare(&request).unwrap().is_none());
}
