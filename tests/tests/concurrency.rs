//! Several rootling processes at the same time.

use rootling_tests::{Running, Test, both};

both!(
    of_two_creates_of_one_id_exactly_one_wins,
    list_and_state_work_while_containers_come_and_go,
    delete_against_create_leaves_a_container_or_nothing,
);

const ROUNDS: usize = 20;

fn of_two_creates_of_one_id_exactly_one_wins(t: &Test) {
    let bundle = t.bundle(&["true"]);
    bundle.write();
    let create = || t.rootling(&["create", "-b"]).arg(bundle.dir()).arg(t.id("c")).spawn();
    for round in 0..ROUNDS {
        let outputs = [create(), create()].map(Running::output);
        let (won, lost): (Vec<_>, Vec<_>) = outputs.iter().partition(|output| output.exit() == 0);
        assert_eq!((won.len(), lost.len()), (1, 1), "round {round}: {} {}", outputs[0], outputs[1]);
        lost[0].fails_with(&[&t.id("c")]);
        assert_eq!(t.status("c"), "created");
        t.start("c").ok();
        t.delete_force("c").ok();
    }
}

fn list_and_state_work_while_containers_come_and_go(t: &Test) {
    let bundle = t.bundle(&["true"]);
    bundle.write();
    // This makes the state directory: for list it is an error if a named one does not exist, as with runc.
    t.run(&bundle).ok();
    for round in 0..ROUNDS {
        let runs: Vec<_> = (0..4)
            .map(|n| t.rootling(&["run", "-b"]).arg(bundle.dir()).arg(t.id(&format!("{round}-{n}"))).spawn())
            .collect();
        for _ in 0..5 {
            let list = t.rootling(&["list", "-f", "json"]).output().ok();
            assert_eq!(list.stderr, "", "{list}");
        }
        for run in runs {
            run.output().ok();
        }
    }
}

fn delete_against_create_leaves_a_container_or_nothing(t: &Test) {
    let bundle = t.bundle(&["true"]);
    bundle.write();
    for _ in 0..ROUNDS {
        let create = t.rootling(&["create", "-b"]).arg(bundle.dir()).arg(t.id("c")).spawn();
        let delete = t.rootling(&["delete", "-f", &t.id("c")]).spawn();
        delete.output();
        create.output();
        t.delete_force("c").ok();
        t.rootling(&["state", &t.id("c")]).output().fails_with(&[&t.id("c")]);
    }
}
