//! A failed read is not an answer: if something about a container cannot be determined, it is left as it is, with
//! an error that says so.

use rootling_tests::{Output, Test, Variation, both, can_trace, eventually};

both!(
    process_that_cannot_be_read_is_not_taken_for_dead,
    process_is_not_taken_for_dead_without_a_proc,
    process_is_not_taken_for_dead_with_few_descriptors,
    process_is_not_taken_for_dead_in_another_pid_namespace,
    delete_that_is_late_leaves_a_new_container_alone,
    create_whose_directory_is_removed_meanwhile_is_an_error,
);

/// Commands that would change or misjudge the container.
const COMMANDS: [&[&str]; 5] = [&["delete"], &["delete", "--force"], &["state"], &["pause"], &["start"]];

/// Asserts that each command ends with an error that `said` accepts, and that the container is running after all of
/// them.
fn leave_it(t: &Test, run: &dyn Fn(&[&str]) -> Output, said: &dyn Fn(&Output) -> bool) {
    let bundle = t.bundle(&["sleep", "1000000"]);
    t.run_detached(bundle.write(), "c").ok();
    for command in COMMANDS {
        let id = t.id("c");
        let output = run(&[command, &[id.as_str()]].concat());
        assert!(output.exit() != 0 && said(&output), "{command:?}: {output}");
        assert_eq!(output.stderr.lines().count(), 1, "{output}");
        assert_eq!(t.status("c"), "running", "after {command:?}: {output}");
    }
    assert_eq!(t.exec::<&str>(&[], "c", &["echo", "lives"]).output().ok().text(), "lives");
    t.delete_force("c").ok();
}

fn process_that_cannot_be_read_is_not_taken_for_dead(t: &Test) {
    if !can_trace(t) {
        return;
    }
    // musl opens files by open(2) where there is one.
    let open = "?open,openat";
    for (call, error) in [("read", "EIO"), ("read", "ENOMEM"), (open, "EMFILE"), (open, "ENOMEM")] {
        let run = |args: &[&str]| {
            let stat = format!("/proc/{}/stat", t.state("c")["pid"]);
            let inject = format!("inject={call}:error={error}");
            let strace = ["strace", "-D", "-qq", "-o", "/dev/null", "-P", &stat, "-e", &inject];
            t.rootling(args).under(&strace).output()
        };
        let said = |output: &Output| {
            output.stderr.contains("/stat: ")
                && output.stderr.contains(error)
                && output.stderr.contains("cannot be told")
        };
        leave_it(t, &run, &said);
    }
}

fn process_is_not_taken_for_dead_in_another_pid_namespace(t: &Test) {
    let outside = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc"];
    let run = |args: &[&str]| t.rootling(args).under(&outside).output();
    let said = |output: &Output| output.stderr.contains("is one of another pid namespace, pid:[");
    leave_it(t, &run, &said);
}

fn process_is_not_taken_for_dead_without_a_proc(t: &Test) {
    if Variation::of(t).is_none() {
        return;
    }
    let run = |args: &[&str]| {
        let host = Variation::of(t).expect("as before");
        host.line("mount -t tmpfs none /proc").run(t.rootling(args)).output()
    };
    leave_it(t, &run, &|output| {
        output.stderr.contains("/stat: ENOENT") && output.stderr.contains("cannot be told")
    });
}

fn process_is_not_taken_for_dead_with_few_descriptors(t: &Test) {
    for limit in 3..=12 {
        let bundle = t.bundle(&["sleep", "1000000"]);
        t.run_detached(bundle.write(), "c").ok();
        let script = format!("ulimit -n {limit}; exec \"$@\"");
        let delete = t.rootling(&["delete", "--force", &t.id("c")]).under(&["sh", "-c", &script, "sh"]);
        let output = delete.output();
        let gone = !t.state_root().join(t.id("c")).exists();
        // Either it is gone together with its program, or it exists and is running.
        assert_eq!(gone, output.exit() == 0, "{limit} descriptors: {output}");
        if !gone {
            assert!(output.stderr.contains("EMFILE"), "{limit} descriptors: {output}");
            assert_eq!(t.status("c"), "running", "{limit} descriptors: {output}");
            t.delete_force("c").ok();
        }
    }
}

/// A delete is delayed at a call after it has opened the container; meanwhile another one removes the container,
/// and a new one with the same name is started. The first delete must not remove that one, nor its cgroup and its
/// processes.
fn delete_that_is_late_leaves_a_new_container_alone(t: &Test) {
    if !can_trace(t) {
        return;
    }
    let bundle = t.bundle(&["sleep", "1000000"]);
    bundle.write();
    for (call, time) in [
        ("openat2", 1),
        ("flock", 1),
        ("pidfd_send_signal", 1),
        ("unlinkat", 1),
        ("unlinkat", 3),
        ("unlinkat", 6),
        ("unlinkat", 7),
        ("rmdir", 1),
    ] {
        t.run_detached(&bundle, "c").ok();
        let pid = t.state("c")["pid"].clone();
        let (trace, inject) =
            (format!("trace={call}"), format!("inject={call}:delay_enter=700000:when={time}"));
        let strace = ["strace", "-D", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
        let late = t.rootling(&["delete", "--force", &t.id("c")]).under(&strace).spawn();
        std::thread::sleep(std::time::Duration::from_millis(200));
        let second = t.delete_force("c");
        let new = t.run_detached(&bundle, "c");
        let late = late.output();
        assert_eq!(second.exit(), 0, "{call} {time}: {second}");
        assert_eq!(late.exit(), 0, "{call} {time}: {late}");
        // If the name was not free, the late one was faster after all.
        if new.exit() == 0 && t.rootling(&["list", "-q"]).output().ok().stdout.contains(&t.id("c")) {
            assert_eq!(t.status("c"), "running", "{call} {time}: {late}");
            assert_ne!(t.state("c")["pid"], pid, "{call} {time}");
            assert_eq!(t.exec::<&str>(&[], "c", &["echo", "lives"]).output().ok().text(), "lives");
        } else {
            new.fails_with(&["already exists"]);
        }
        t.delete_force("c").ok();
    }
}

/// A create is delayed after it has made the state directory and before it has locked it: to a delete it looks half
/// made.
fn create_whose_directory_is_removed_meanwhile_is_an_error(t: &Test) {
    if !can_trace(t) {
        return;
    }
    let bundle = t.bundle(&["sleep", "1000000"]);
    let inject = "inject=flock:delay_enter=700000:when=1";
    let strace = ["strace", "-D", "-qq", "-o", "/dev/null", "-e", "trace=flock", "-e", inject];
    let create = t.rootling(&["create", "-b"]).arg(bundle.write().dir()).arg(t.id("c"));
    let create = create.under(&strace).spawn();
    eventually("the directory is there", || t.state_root().join(t.id("c")).exists());
    t.delete_force("c").ok();
    create.output().fails_with(&["was removed by another command while it was created", "create it again"]);
    assert!(!t.state_root().join(t.id("c")).exists());
}
