//! The command line itself: help, version, log, features, lists, checkpoint.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use rootling_tests::{Test, Who, both, eventually, has_criu, root};
use serde_json::json;

both![
    version_names_the_program_as_it_is_called,
    features_are_those_of_the_specification,
    debug_lines_go_to_standard_error_or_the_log,
    an_error_goes_to_standard_error_and_the_log,
    list_of_a_named_root_that_is_not_there_fails,
    spellings_of_runcs_parser_are_taken,
    checkpoint_without_criu_says_what_to_install,
    a_regular_expression_stands_for_all_containers_that_match,
    another_file_may_be_the_configuration,
];
root![a_restored_container_goes_on_where_it_was];

fn version_names_the_program_as_it_is_called(test: &Test) {
    let link = test.path("runc");
    std::os::unix::fs::symlink(test.binary(), &link).expect("link");
    let version = test.command(&link).arg("-v").output().ok().stdout;
    assert!(version.starts_with("runc version "), "{version}");
    assert!(version.contains("\nspec: 1.3.0\n") && version.contains("\nlibseccomp: "), "{version}");
}

fn features_are_those_of_the_specification(test: &Test) {
    let features = test.rootling(&["features"]).output().ok().json();
    assert_eq!(features["hooks"].as_array().map(Vec::len), Some(6));
    let linux = &features["linux"];
    for pointer in
        ["/cgroup/v2", "/seccomp/enabled", "/apparmor/enabled", "/selinux/enabled", "/netDevices/enabled"]
    {
        assert_eq!(linux.pointer(pointer), Some(&json!(true)), "{pointer}");
    }
    if test.who() == Who::User {
        assert_eq!(linux.pointer("/mountExtensions/idmap/enabled"), Some(&json!(false)));
    }
}

fn debug_lines_go_to_standard_error_or_the_log(test: &Test) {
    let bundle = test.shell("true");
    bundle.write();
    let run = |options: &[&str]| {
        test.rootling(options).args(&["run", "-b"]).arg(bundle.dir()).arg(test.id("c")).output().ok().stderr
    };
    assert!(run(&["--debug"]).contains("level=debug"));
    for (format, part) in [("text", "level=debug msg="), ("json", "\"level\":\"debug\"")] {
        let log = test.path(&format!("log-{format}"));
        let stderr = run(&["--debug", "--log-format", format, "--log", log.to_str().expect("UTF-8")]);
        assert!(!stderr.contains("debug"), "{stderr}");
        assert!(fs::read_to_string(&log).expect("the log").contains(part));
    }
}

fn an_error_goes_to_standard_error_and_the_log(test: &Test) {
    let log = test.path("log");
    let output = test.rootling(&["--log-format=json", "--log"]).arg(&log).args(&["state", "no"]).output();
    output.fails_with(&["state \"no\"", "does not exist"]);
    let line: serde_json::Value =
        serde_json::from_slice(&fs::read(&log).expect("the log")).expect("one JSON line");
    assert_eq!(line["level"], "error");
    assert!(line["msg"].as_str().is_some_and(|m| m.contains("does not exist")), "{line}");
}

fn list_of_a_named_root_that_is_not_there_fails(test: &Test) {
    let list = test.command(test.binary()).arg("--root").arg(test.path("nowhere")).arg("list");
    list.output().fails_with(&["nowhere", "ENOENT"]);
}

fn spellings_of_runcs_parser_are_taken(test: &Test) {
    let bundle = test.shell("echo here");
    bundle.write();
    let run = test.rootling(&["run", "--detach=false", "-bundle"]).arg(bundle.dir()).arg(test.id("c"));
    assert_eq!(run.output().ok().text(), "here");
}

fn checkpoint_without_criu_says_what_to_install(test: &Test) {
    let bundle = test.shell("sleep 60");
    bundle.write();
    test.create(&bundle, "c").ok();
    test.start("c").ok();
    let id = test.id("c");
    let output = test.rootling(&["--criu", "/no/criu", "checkpoint", &id]).output();
    output.fails_with(&["/no/criu", "install CRIU (package criu)", "--criu"]);
    assert_eq!(test.status("c"), "running");
    test.delete_force("c").ok();
}

fn a_restored_container_goes_on_where_it_was(test: &Test) {
    if !has_criu(test) {
        return;
    }
    // A single process that makes no others: CRIU cannot seize processes that come and go faster than it looks.
    let script =
        "mkfifo /tmp/p; exec 3<>/tmp/p; i=0; while :; do i=$((i+1)); echo $i >/tmp/n; read -t 1 _ <&3; done";
    let bundle = test.shell(script);
    bundle.write();
    let number =
        || fs::read_to_string(bundle.rootfs("tmp/n")).ok().and_then(|n| n.trim().parse::<u32>().ok());
    // Files of the host, to which the output is collected, do not belong to the container and cannot be saved.
    let create = test.rootling(&["create", "-b"]).arg(bundle.dir()).arg(test.id("c"));
    let create = create.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    create.output().ok();
    test.start("c").ok();
    eventually("it counts", || number().is_some_and(|n| n > 1));
    let id = test.id("c");
    // What has been restored is saved again, although CRIU has made its mounts.
    for round in ["first", "second"] {
        let images = test.path(round);
        let mode = "--manage-cgroups-mode=ignore";
        test.rootling(&["checkpoint", mode, "--image-path"]).arg(&images).arg(&id).output().ok();
        assert_eq!(test.rootling(&["list", "-q"]).output().ok().text(), "", "{round}");
        let at = number().expect("a number");
        let restore = test.rootling(&["restore", "-d", mode, "--image-path"]).arg(&images);
        restore.arg("-b").arg(bundle.dir()).arg(&id).limit(Duration::from_secs(30)).output().ok();
        assert_eq!(test.status("c"), "running", "{round}");
        eventually("it goes on", || number().is_some_and(|n| n > at));
        assert_eq!(test.rootling(&["exec", &id, "echo", "in"]).output().ok().text(), "in", "{round}");
    }
    test.delete_force("c").ok();
}

fn a_regular_expression_stands_for_all_containers_that_match(test: &Test) {
    let bundle = test.shell("sleep 60");
    bundle.write();
    for name in ["web1", "web2", "db"] {
        test.create(&bundle, name).ok();
    }
    test.rootling(&["delete", "--regex", "web[0-9]$"]).output().ok();
    assert_eq!(test.rootling(&["list", "-q"]).output().ok().text(), test.id("db"));
    test.rootling(&["kill", "--regex", "(", "KILL"]).output().fails_with(&[
        "--regex",
        "\"(\"",
        "regular expression",
    ]);
    test.rootling(&["kill", "--regex", "db$", "KILL"]).output().ok();
    eventually("it is dead", || test.status("db") == "stopped");
    test.rootling(&["delete", "-f", "--regex", "."]).output().ok();
}

fn another_file_may_be_the_configuration(test: &Test) {
    let mut bundle = test.shell("echo from the bundle");
    bundle.write();
    bundle.set("/process/args", json!(["echo", "from the file"]));
    let file = test.path("other.json");
    fs::write(&file, bundle.config.to_string()).expect("write a configuration");
    let run = test.rootling(&["run", "-f"]).arg(&file).arg("-b").arg(bundle.dir()).arg(test.id("c"));
    assert_eq!(run.output().ok().text(), "from the file");
}
