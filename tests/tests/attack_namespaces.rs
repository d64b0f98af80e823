//! A container joins namespaces of a hostile one, in which it is visible long before it has left the host.

use std::fs;

use rootling_tests::hunt::Hunt;
use rootling_tests::{Bundle, Test, attempts, both, eventually};
use serde_json::json;

both!(
    container_that_joins_has_nothing_to_steal_before_it_has_left_the_host,
    created_container_that_joins_cannot_be_looked_into_while_it_waits,
);

/// How many containers join the hostile one's namespaces.
const CONTAINERS: usize = 10;

fn container_that_joins_has_nothing_to_steal_before_it_has_left_the_host(t: &Test) {
    let mut hostile = t.bundle(&["true"]);
    hostile.mapped();
    let tracing = json!(["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"]);
    let sets = json!({"bounding": tracing, "permitted": tracing, "effective": tracing});
    hostile.set("/process/capabilities", sets);
    let hunt = Hunt::start(t, &mut hostile, "hostile", "true");

    let second = joining(t, &hostile, &["true"]);
    hunt.in_vain(attempts(CONTAINERS), || drop(t.run(&second).ok()));
    hunt.assert_able(t, "hostile");
    t.delete_force("hostile").ok();
}

/// A bundle that joins the user and pid namespaces of the container `hostile`.
fn joining(t: &Test, hostile: &Bundle, args: &[&str]) -> Bundle {
    let mut second = hostile.sibling(t, args);
    let pid = t.state("hostile")["pid"].to_string();
    for kind in ["user", "pid"] {
        let joined = json!({"type": kind, "path": format!("/proc/{pid}/ns/{kind}")});
        second.without_namespace(kind).set("/linux/namespaces/-", joined);
    }
    second.remove("/linux/uidMappings").remove("/linux/gidMappings");
    second.write();
    second
}

/// Nobody may trace it or use the socket on which it waits for its start either. Once it is the program, which has
/// the same user and capabilities, that is permitted.
fn created_container_that_joins_cannot_be_looked_into_while_it_waits(t: &Test) {
    let mut hostile = t.bundle(&["sleep", "1000000"]);
    hostile.mapped();
    t.run_detached(hostile.write(), "hostile").ok();
    t.create(&joining(t, &hostile, &["sleep", "1000000"]), "second").ok();
    let status = format!("/proc/{}/status", t.state("second")["pid"]);
    let status = fs::read_to_string(status).expect("the status of what waits");
    let ids = status.lines().find(|line| line.starts_with("NSpid:")).expect("its ids");
    let inside = ids.split_whitespace().last().expect("its id in the hostile container");
    let look = || t.exec(&[""; 0], "hostile", &["ls", &format!("/proc/{inside}/fd")]).output();
    let refused = look();
    assert!(refused.exit() != 0 && refused.stderr.contains("Permission denied"), "{refused}");
    t.start("second").ok();
    eventually("the program can be looked at", || look().exit() == 0);
    for name in ["second", "hostile"] {
        t.delete_force(name).ok();
    }
}
