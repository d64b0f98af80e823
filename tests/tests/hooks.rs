//! Hooks: all six run at their moments, with the state on their standard input.

use std::fs;

use rootling_tests::{Bundle, Test, both, eventually};
use serde_json::{Value, json};

both!(
    hooks_run_in_order_at_their_moments,
    hooks_get_the_state,
    hook_gets_its_arguments_and_environment,
    hooks_run_in_their_namespaces,
    failed_hook_fails_create_and_leaves_nothing,
    failed_start_container_hook_fails_the_program,
    failed_poststop_hook_does_not_fail_delete,
    hook_over_its_timeout_fails_create,
    missing_hook_program_fails_create,
);

const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Adds a hook that runs `script` in a shell, which is the container's for startContainer.
fn add_hook(bundle: &mut Bundle, kind: &str, script: &str) {
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]});
    if bundle.config.pointer(&format!("/hooks/{kind}")).is_none() {
        bundle.set(&format!("/hooks/{kind}"), json!([]));
    }
    bundle.set(&format!("/hooks/{kind}/-"), hook);
}

/// The path of the same file for hooks outside (first) and inside the container (second).
fn shared_file(bundle: &Bundle, name: &str) -> (String, String) {
    let inside = format!("/tmp/{name}");
    (bundle.rootfs(&inside).to_string_lossy().into_owned(), inside)
}

fn file_for(bundle: &Bundle, kind: &str, name: &str) -> String {
    let (outside, inside) = shared_file(bundle, name);
    if kind == "startContainer" { inside } else { outside }
}

fn stop_and_delete(t: &Test) {
    eventually("the container has stopped", || t.status("c") == "stopped");
    t.rootling(&["delete", &t.id("c")]).output().ok();
}

fn hooks_run_in_order_at_their_moments(t: &Test) {
    let mut bundle = t.shell("echo program >>/tmp/log; sleep 0.2");
    for kind in KINDS {
        for number in [1, 2] {
            let log = file_for(&bundle, kind, "log");
            add_hook(&mut bundle, kind, &format!("echo {kind}{number} >>{log}"));
        }
    }
    let log = shared_file(&bundle, "log").0;
    let ran = || fs::read_to_string(&log).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
    let both = |kinds: &[&str]| {
        let numbered = kinds.iter().flat_map(|kind| [format!("{kind}1"), format!("{kind}2")]);
        numbered.collect::<Vec<_>>()
    };
    t.create(bundle.write(), "c").ok();
    let created = both(&KINDS[..3]);
    assert_eq!(ran(), created);
    t.start("c").ok();
    let at_start = || ran()[created.len()..].to_vec();
    eventually("the hooks of start have run", || at_start().len() == 5);
    let of = |names: &[&str]| {
        at_start().into_iter().filter(|line| names.contains(&line.as_str())).collect::<Vec<_>>()
    };
    // The program and the poststart hooks run concurrently, both after the startContainer hooks.
    assert_eq!(
        of(&["startContainer1", "startContainer2", "program"]),
        ["startContainer1", "startContainer2", "program"]
    );
    let poststart = ["startContainer1", "startContainer2", "poststart1", "poststart2"];
    assert_eq!(of(&poststart), poststart);
    stop_and_delete(t);
    assert_eq!(at_start()[5..], both(&["poststop"]));
}

fn hooks_get_the_state(t: &Test) {
    let mut bundle = t.bundle(&["sleep", "0.2"]);
    bundle.set("/annotations", json!({"org.example.key": "value"}));
    for kind in KINDS {
        let file = file_for(&bundle, kind, kind);
        add_hook(&mut bundle, kind, &format!("cat >{file}.new; mv {file}.new {file}"));
    }
    t.create(bundle.write(), "c").ok();
    let pid = t.state("c")["pid"].clone();
    t.start("c").ok();
    stop_and_delete(t);
    let statuses = ["creating", "creating", "creating", "created", "running", "stopped"];
    for (kind, status) in KINDS.into_iter().zip(statuses) {
        let text = fs::read_to_string(shared_file(&bundle, kind).0);
        let text = text.unwrap_or_else(|error| panic!("state of {kind}: {error}"));
        let state: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{kind}: {error}: {text}"));
        assert_eq!(state["id"], t.id("c"), "{kind}");
        assert_eq!(state["bundle"], bundle.dir().to_string_lossy().as_ref(), "{kind}");
        assert_eq!(state["annotations"]["org.example.key"], "value", "{kind}");
        assert!(state["ociVersion"].is_string(), "{kind}: {state}");
        assert_eq!(state["status"], status, "{kind}");
        match kind {
            "poststop" => assert!(state["pid"].is_null() || state["pid"] == 0, "{state}"),
            // As seen from inside: the program is process 1 there.
            "createContainer" | "startContainer" => assert!(state["pid"].is_i64(), "{kind}: {state}"),
            _ => assert_eq!(state["pid"], pid, "{kind}"),
        }
    }
}

fn hook_gets_its_arguments_and_environment(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    let file = t.path("environment");
    let script =
        format!("{{ echo \"$0 $1\"; cat /proc/self/environ | tr '\\0' '\\n'; }} >{}", file.display());
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script, "zero", "one"], "env": ["A=1", "PATH=/bin:/usr/bin"]});
    bundle.set("/hooks/createRuntime", json!([hook]));
    t.run(bundle.write()).ok();
    let text = fs::read_to_string(file).expect("the hook's file");
    let mut lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.remove(0), "zero one");
    // The shell sets PWD and similar variables for its children.
    lines.retain(|line| !["PWD=", "OLDPWD=", "SHLVL=", "_="].iter().any(|name| line.starts_with(name)));
    lines.sort_unstable();
    assert_eq!(lines, ["A=1", "PATH=/bin:/usr/bin"]);
}

fn hooks_run_in_their_namespaces(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    for kind in KINDS {
        let file = file_for(&bundle, kind, kind);
        add_hook(&mut bundle, kind, &format!("readlink /proc/self/ns/mnt >{file}"));
    }
    t.run(bundle.write()).ok();
    let host = fs::read_link("/proc/self/ns/mnt").expect("our mount namespace");
    for kind in KINDS {
        let text = fs::read_to_string(shared_file(&bundle, kind).0);
        let namespace = text.unwrap_or_else(|error| panic!("file of {kind}: {error}"));
        let in_container = ["createContainer", "startContainer"].contains(&kind);
        assert_eq!(namespace.trim() != host.to_string_lossy(), in_container, "{kind}");
    }
}

fn failed_hook_fails_create_and_leaves_nothing(t: &Test) {
    for kind in &KINDS[..3] {
        let mut bundle = t.bundle(&["true"]);
        add_hook(&mut bundle, kind, "exit 9");
        t.create(bundle.write(), "c").fails_with(&[kind, "9"]);
        t.rootling(&["state", &t.id("c")]).output().fails_with(&[&t.id("c")]);
    }
}

fn failed_start_container_hook_fails_the_program(t: &Test) {
    let mut bundle = t.shell("echo program >/tmp/ran");
    add_hook(&mut bundle, "startContainer", "exit 9");
    let output = t.run(bundle.write());
    assert!(output.exit() > 0, "{output}");
    assert!(!bundle.rootfs("tmp/ran").exists(), "{output}");
}

fn failed_poststop_hook_does_not_fail_delete(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    let (log, _) = shared_file(&bundle, "log");
    add_hook(&mut bundle, "poststop", "exit 9");
    add_hook(&mut bundle, "poststop", &format!("echo second >>{log}"));
    t.create(bundle.write(), "c").ok();
    t.start("c").ok();
    stop_and_delete(t);
    assert_eq!(fs::read_to_string(log).expect("the hook's file"), "second\n");
}

fn hook_over_its_timeout_fails_create(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", "exec sleep 1000"], "timeout": 1});
    bundle.set("/hooks/createRuntime", json!([hook]));
    t.create(bundle.write(), "c").fails_with(&["createRuntime"]);
}

fn missing_hook_program_fails_create(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.set("/hooks/createRuntime", json!([{"path": "/no/such/hook"}]));
    t.create(bundle.write(), "c").fails_with(&["/no/such/hook"]);
}
