//! `exec --process FILE`: a process object that describes the whole process.

use std::fs;

use rootling_tests::{Output, Test, both, has_linux, root};
use serde_json::{Value, json};

both!(
    file_says_all_about_the_process,
    what_the_file_leaves_out_is_the_containers,
    flags_beside_the_file_are_ignored_with_a_warning,
    wrong_file_is_one_line_that_names_the_field,
    cpu_affinity_is_reset_or_as_the_file_has_it,
    scheduling_is_the_files,
    unknown_capabilities_are_left_out_with_a_warning,
);
root!(cpu_affinity_is_the_callers_where_it_cannot_be_reset);

fn sleeping(t: &Test) {
    let mut bundle = t.bundle(&["sleep", "1000"]);
    bundle.set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}]));
    bundle.set("/process/user/umask", 0o027.into());
    bundle.set("/process/env/-", "OF=container".into());
    t.run_detached(bundle.write(), "c").ok();
}

/// A process object for this script, with the marker that the harness looks for.
fn shell(t: &Test, script: &str) -> Value {
    let env = ["PATH=/bin:/usr/bin".to_owned(), format!("ROOTLING_TEST={}", t.marker())];
    json!({"args": ["sh", "-c", script], "cwd": "/", "env": env})
}

fn exec(t: &Test, process: &Value, flags: &[&str]) -> Output {
    fs::write(t.path("process.json"), process.to_string()).expect("write the file");
    let all: Vec<&str> = ["--process", "process.json"].iter().chain(flags).copied().collect();
    t.exec(&all, "c", &[]).output()
}

fn end(t: &Test) {
    t.delete_force("c").ok();
}

fn file_says_all_about_the_process(t: &Test) {
    sleeping(t);
    let mut process = shell(t, "pwd; env; umask; ulimit -n; grep -E 'CapEff|NoNewPrivs' /proc/self/status");
    process["cwd"] = "/dev".into();
    process["user"] = json!({"uid": 0, "gid": 0, "umask": 0o077});
    process["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 55, "hard": 66}]);
    let kill = json!(["CAP_KILL"]);
    process["capabilities"] = json!({"bounding": kill, "permitted": kill, "effective": kill});
    let output = exec(t, &process, &[]).ok();
    for line in ["/dev", "PATH=/bin:/usr/bin", "0077", "55", "CapEff:\t0000000000000020", "NoNewPrivs:\t0"] {
        assert!(output.stdout.lines().any(|l| l == line), "no {line:?}: {output}");
    }
    assert!(!output.stdout.contains("OF=container"), "{output}");
    end(t);
}

fn what_the_file_leaves_out_is_the_containers(t: &Test) {
    sleeping(t);
    let output = exec(t, &shell(t, "umask; ulimit -n; ulimit -Hn; grep CapEff /proc/self/status"), &[]).ok();
    assert_eq!(output.stdout, "0027\n77\n88\nCapEff:\t0000000020000420\n");
    end(t);
}

fn flags_beside_the_file_are_ignored_with_a_warning(t: &Test) {
    sleeping(t);
    let output = exec(t, &shell(t, "echo $A; pwd"), &["--env", "A=1", "--cwd", "/dev"]).ok();
    assert_eq!(output.stdout, "\n/\n");
    assert!(output.stderr.contains("--env") && output.stderr.contains("--cwd"), "{output}");
    end(t);
}

fn wrong_file_is_one_line_that_names_the_field(t: &Test) {
    sleeping(t);
    for (pointer, value, part) in [
        ("args", json!([]), "process.args"),
        ("args", json!("true"), "args"),
        ("cwd", json!("dev"), "process.cwd"),
        ("env", json!(["A"]), "process.env[0]"),
        ("user", json!({"umask": 4096}), "process.user.umask"),
        ("rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 9, "hard": 8}]), "RLIMIT_NOFILE"),
        ("execCPUAffinity", json!({"initial": "x"}), "initial"),
    ] {
        let mut process = shell(t, "true");
        process[pointer] = value;
        exec(t, &process, &[]).code(255).fails_with(&[part]);
    }
    fs::write(t.path("process.json"), "{").expect("write the file");
    t.exec(&["-p", "process.json"], "c", &[]).output().code(255).fails_with(&["process.json", "line 1"]);
    end(t);
}

fn cpu_affinity_is_reset_or_as_the_file_has_it(t: &Test) {
    sleeping(t);
    let shown = |output: &Output| output.stdout.trim().rsplit('\t').next().unwrap_or_default().to_owned();
    let mut process = shell(t, "grep Cpus_allowed_list /proc/self/status");
    let all = shown(&exec(t, &process, &[]).ok());
    fs::write(t.path("process.json"), process.to_string()).expect("write the file");
    let narrow = t.exec(&["-p", "process.json"], "c", &[]).under(&["taskset", "-c", "0"]).output().ok();
    assert_eq!(shown(&narrow), all, "the caller's affinity is not the container's");
    process["execCPUAffinity"] = json!({"initial": "0"});
    let initial = shown(&exec(t, &process, &[]).ok());
    // Before Linux 6.2, whoever enters a cgroup of the controller cpuset gets all of its processors.
    assert!(initial == "0" || initial == all && !has_linux(6, 2), "{initial}");
    process["execCPUAffinity"] = json!({"final": "0"});
    assert_eq!(shown(&exec(t, &process, &[]).ok()), "0");
    process["execCPUAffinity"] = json!({"final": "8000"});
    exec(t, &process, &[]).code(255).fails_with(&["execCPUAffinity.final", "CPUs"]);
    end(t);
}

/// Without the capability, the affinity of a process of another user cannot be reset from outside, and it is the caller's.
fn cpu_affinity_is_the_callers_where_it_cannot_be_reset(t: &Test) {
    sleeping(t);
    let mut process = shell(t, "grep Cpus_allowed_list /proc/self/status");
    let all = exec(t, &process, &[]).ok().stdout;
    process["user"] = json!({"uid": 1000, "gid": 1000});
    fs::write(t.path("process.json"), process.to_string()).expect("write the file");
    let without: &[&str] = &["setpriv", "--bounding-set", "-sys_nice", "--"];
    for _ in 0..5 {
        let output = t.exec(&["-p", "process.json"], "c", &[]).under(without).output().ok();
        assert_eq!(output.stdout, all, "{output}");
    }
    end(t);
}

fn scheduling_is_the_files(t: &Test) {
    sleeping(t);
    // proc_pid_stat(5): field 19 is the nice value, 41 the policy.
    let mut process = shell(t, "set -- $(cat /proc/self/stat); shift 18; echo $1; shift 22; echo $1; ionice");
    process["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 5});
    process["ioPriority"] = json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0});
    let output = exec(t, &process, &[]).ok();
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines[..2], ["5", "3"], "{output}");
    assert!(lines[2].starts_with("idle"), "{output}");
    end(t);
}

fn unknown_capabilities_are_left_out_with_a_warning(t: &Test) {
    sleeping(t);
    let mut process = shell(t, "grep CapEff /proc/self/status");
    let some = json!(["CAP_KILL", "CAP_FROM_THE_FUTURE"]);
    process["capabilities"] = json!({"bounding": some, "permitted": some, "effective": some});
    let output = exec(t, &process, &[]).ok();
    assert_eq!(output.stdout, "CapEff:\t0000000000000020\n");
    assert!(output.stderr.contains("CAP_FROM_THE_FUTURE"), "{output}");
    end(t);
}
