//! Large amounts of everything: long input is read in time, refused if the kernel does not accept it, and never
//! repeated in full in a message.

use rootling_tests::{Test, both};
use serde_json::{Value, json};

both!(
    environment_of_a_hundred_thousand_entries_reaches_the_program,
    more_seccomp_rules_than_the_kernel_takes_are_an_error,
    long_value_is_cut_in_the_message,
    long_argument_is_cut_in_the_message,
);

/// Each name occurs twice, and the last value counts.
fn environment_of_a_hundred_thousand_entries_reaches_the_program(t: &Test) {
    let mut bundle = t.bundle(&["/bin/env"]);
    let entry = |value: &'static str| move |n: usize| format!("A{n}={value}");
    let env: Vec<String> = (0..100_000).map(entry("x")).chain((0..100_000).map(entry("y"))).collect();
    bundle.set("/process/env", json!(env));
    let output = t.run(bundle.write()).ok();
    let of_ours: Vec<&str> = output.stdout.lines().filter(|line| line.starts_with('A')).collect();
    assert_eq!(of_ours.len(), 100_000);
    assert!(of_ours.iter().all(|line| line.ends_with("=y")), "a value is not the last one");
}

fn more_seccomp_rules_than_the_kernel_takes_are_an_error(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    let rule = |n: usize| {
        let condition = json!([{"index": 2, "value": n, "op": "SCMP_CMP_EQ"}]);
        json!({"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": condition})
    };
    let rules: Vec<Value> = (0..40_000).map(rule).collect();
    bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}));
    let words = ["linux.seccomp: the program has at least 40000 instructions", "at most 4096"];
    t.run(bundle.write()).fails_with(&words);
}

/// Nobody reads more than this of a message, in bytes.
const MOST: usize = 4200;

fn long_value_is_cut_in_the_message(t: &Test) {
    let long = "v".repeat(70_000);
    for (pointer, value, field) in [
        ("/process/cwd", json!(long), "process.cwd"),
        ("/process/args", json!([long]), "process.args"),
        ("/process/args", json!([format!("/{long}")]), "process.args"),
        ("/process/env", json!([long]), "process.env"),
        ("/process/capabilities", json!({"bounding": [long]}), "process.capabilities"),
        ("/root/path", json!(long), "root"),
        ("/hostname", json!(long), "hostname"),
        ("/mounts/-", json!({"destination": "/x", "type": long, "source": "s"}), "mount"),
        ("/mounts/-", json!({"destination": "/x", "type": "tmpfs", "options": [long]}), "mount"),
        ("/mounts/-", json!({"destination": format!("/{long}"), "type": "tmpfs"}), "mount"),
        ("/mounts/-", json!({"destination": "/x", "type": "bind", "source": format!("/{long}")}), "mount"),
        ("/linux/namespaces", json!([{"type": long}]), "linux.namespaces"),
        ("/linux/namespaces/0/path", json!(format!("/{long}")), "pid namespace"),
        ("/linux/cgroupsPath", json!(format!("/{long}/../../{long}")), "cgroup"),
        ("/linux/sysctl", json!({long.clone(): "1"}), "linux.sysctl"),
        ("/linux/maskedPaths", json!([long]), "linux.maskedPaths"),
        ("/linux/seccomp", json!({"defaultAction": long}), "linux.seccomp"),
        ("/hooks", json!({"prestart": [{"path": format!("/{long}")}]}), "hook"),
        ("/annotations", json!({"org.systemd.property.X": long}), ""),
    ] {
        let mut bundle = t.bundle(&["true"]);
        bundle.set(pointer, value);
        let output = t.run(bundle.write());
        // Some are not a mistake everywhere.
        if output.exit() == 0 {
            assert_eq!(output.stderr.lines().filter(|line| line.len() > MOST).count(), 0, "{pointer}");
            continue;
        }
        assert_eq!(output.stderr.lines().count(), 1, "{pointer}: {}", output.stderr.len());
        assert!(output.stderr.len() < MOST, "{pointer}: {} bytes", output.stderr.len());
        assert!(output.stderr.contains(field), "{pointer}: {}", output.stderr);
    }
}

fn long_argument_is_cut_in_the_message(t: &Test) {
    let long = "v".repeat(70_000);
    let bundle = t.bundle(&["sleep", "1000000"]);
    t.run_detached(bundle.write(), "c").ok();
    let id = t.id("c");
    for args in [
        &["state", &long][..],
        &["run", "-b", &long, "x"],
        &["create", "--no-such-flag", &long],
        &["create", "--pid-file", &long, "-b", &long, "x"],
        &["kill", &id, &long],
        &["exec", "--cap", &long, &id, "true"],
        &["exec", "--env", &long, &id, "true"],
        &["exec", "--cwd", &long, &id, "true"],
        &["exec", "--user", &long, &id, "true"],
        &["exec", &id, &long],
        &["update", "--memory", &long, &id],
        &["--log-level", &long, "list"],
        &["--root", &long, "list"],
        &["list", "--format", &long],
        &["spec", "--bundle", &long],
        &["features", &long],
        &[&long],
    ] {
        let output = t
            .rootling_without_flags(
                &[&t.flags()[..], &args.iter().map(ToString::to_string).collect::<Vec<_>>()].concat(),
            )
            .output();
        let name: Vec<&str> = args.iter().map(|arg| &arg[..arg.len().min(20)]).collect();
        // What is merely left out results in a warning.
        assert!(output.exit() != 0 || name.contains(&"--cap"), "{name:?}");
        assert!(output.stderr.len() < MOST, "{name:?}: {} bytes", output.stderr.len());
    }
    t.delete_force("c").ok();
}
