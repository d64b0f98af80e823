//! On a kernel that is too old, each command that is about containers says so in one line, and `doctor` too.

use rootling_tests::{Test, both, skip};

both!(each_command_refuses_in_one_line, doctor_names_the_kernel, what_needs_no_container_works);

/// Whether this kernel has not what rootling needs.
fn is_old() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("the release of the kernel");
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let old = version < (5, 12);
    if !old {
        skip("this kernel is new enough");
    }
    old
}

fn each_command_refuses_in_one_line(t: &Test) {
    if !is_old() {
        return;
    }
    let bundle = t.bundle(&["true"]);
    let dir = bundle.dir().to_string_lossy().into_owned();
    let commands: [&[&str]; 20] = [
        &["run", "-b", &dir, "c"],
        &["run", "-d", "-b", &dir, "c"],
        &["create", "-b", &dir, "c"],
        &["start", "c"],
        &["exec", "c", "true"],
        &["state", "c"],
        &["list"],
        &["ps", "c"],
        &["kill", "c"],
        &["delete", "c"],
        &["delete", "--force", "c"],
        &["pause", "c"],
        &["resume", "c"],
        &["update", "--pids-limit", "10", "c"],
        &["events", "c"],
        &["events", "--stats", "c"],
        &["stats", "--no-stream"],
        &["checkpoint", "c"],
        &["restore", "-b", &dir, "c"],
        &["run", "--keep", "-b", &dir, "c"],
    ];
    for command in commands {
        let output = t.rootling(command).output();
        // As runc has it, so that its own errors differ from most codes of programs.
        let code = if command[0] == "exec" { 255 } else { 1 };
        assert_eq!(output.exit(), code, "{command:?}: {output}");
        let lines: Vec<&str> = output.stderr.lines().collect();
        assert!(
            matches!(lines[..], [line] if line.contains("rootling needs Linux 5.12 or newer")),
            "{command:?}: {output}"
        );
    }
    assert!(!t.state_root().join("c").exists(), "something is left of it");
}

fn doctor_names_the_kernel(t: &Test) {
    if !is_old() {
        return;
    }
    let output = t.rootling(&["doctor"]).output();
    assert_eq!(output.exit(), 1, "{output}");
    let line = output.stdout.lines().find(|line| line.contains("kernel")).expect("a line about the kernel");
    assert!(line.contains("5.12"), "{output}");
}

fn what_needs_no_container_works(t: &Test) {
    if !is_old() {
        return;
    }
    for command in
        [&["spec"][..], &["features"], &["--version"], &["completion", "bash"], &["profile", "seccomp"]]
    {
        t.rootling(command).dir(t.path(".")).output().ok();
    }
}
