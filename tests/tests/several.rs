//! Commands for several containers at a time, and a container without a name.

use rootling_tests::{Test, both, eventually};

both!(
    several_containers_are_started_killed_and_deleted,
    a_failure_does_not_keep_the_others_from_it,
    last_word_of_kill_is_a_signal_or_a_container,
    container_without_an_id_gets_one,
);

fn made(t: &Test, names: &[&str]) -> Vec<String> {
    let bundle = t.bundle(&["sleep", "1000"]);
    bundle.write();
    for name in names {
        t.create(&bundle, name).ok();
    }
    names.iter().map(|name| t.id(name)).collect()
}

fn several_containers_are_started_killed_and_deleted(t: &Test) {
    let ids = made(t, &["a", "b", "c"]);
    t.rootling(&["start"]).args(&ids).output().ok();
    for name in ["a", "b", "c"] {
        assert_eq!(t.status(name), "running");
    }
    t.rootling(&["kill"]).args(&ids).arg("KILL").output().ok();
    for name in ["a", "b", "c"] {
        eventually("it ends", || t.status(name) == "stopped");
    }
    t.rootling(&["delete"]).args(&ids).output().ok();
    assert_eq!(t.rootling(&["list", "-q"]).output().ok().stdout, "");
}

fn a_failure_does_not_keep_the_others_from_it(t: &Test) {
    let ids = made(t, &["a", "b"]);
    for command in [&["start"][..], &["kill", "--all"], &["delete", "--force"]] {
        // `delete --force` of a missing container is no error.
        let wrong = if command[0] == "delete" { "../x".to_owned() } else { t.id("missing") };
        let output = t.rootling(command).args(&[&ids[0], &wrong, &ids[1]]).output().code(1);
        assert_eq!(output.stderr.lines().count(), 1, "{output}");
        assert!(output.stderr.starts_with(&format!("rootling: {} {wrong:?}: ", command[0])), "{output}");
    }
    assert_eq!(t.rootling(&["list", "-q"]).output().ok().stdout, "");
}

fn last_word_of_kill_is_a_signal_or_a_container(t: &Test) {
    let ids = made(t, &["a", "b"]);
    t.rootling(&["kill", &ids[0], "NOSUCH"]).output().fails_with(&[
        "kill",
        &ids[0],
        "unknown signal \"NOSUCH\"",
    ]);
    t.rootling(&["kill"]).args(&ids).arg("NOSUCH").output().fails_with(&["unknown signal \"NOSUCH\""]);
    t.rootling(&["start"]).args(&ids).output().ok();
    t.rootling(&["kill"]).args(&ids).arg("9").output().ok();
    for name in ["a", "b"] {
        eventually("it ends", || t.status(name) == "stopped");
    }
    t.rootling(&["delete"]).args(&ids).output().ok();
    // Two words, neither of which is a signal.
    let ids = made(t, &["a", "b"]);
    t.rootling(&["kill"]).args(&ids).output().ok();
    t.rootling(&["delete", "--force"]).args(&ids).output().ok();
}

fn container_without_an_id_gets_one(t: &Test) {
    let bundle = t.shell("echo ran");
    let run = |flags: &[&str], bundle: &rootling_tests::Bundle| {
        t.rootling(&["run", "-b"]).arg(bundle.dir()).args(flags).output()
    };
    assert_eq!(run(&[], bundle.write()).ok().stdout, "ran\n");
    assert_eq!(t.rootling(&["list", "-q"]).output().ok().stdout, "");
    let bundle = bundle.sibling(t, &["sleep", "1000"]);
    bundle.write();
    let printed = [0, 1].map(|_| run(&["--detach"], &bundle).ok().text().to_owned());
    assert_ne!(printed[0], printed[1]);
    let listed = t.rootling(&["list", "-q"]).output().ok().stdout;
    assert!(printed.iter().all(|id| listed.lines().any(|line| line == id)), "{printed:?} {listed}");
    t.rootling(&["delete", "--force"]).args(&printed).output().ok();
}
