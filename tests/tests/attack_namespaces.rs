//! A container that joins namespaces of a hostile one: it is visible in there long before it has left the host.

use rootling_tests::hunt::Hunt;
use rootling_tests::{Test, attempts, both};
use serde_json::json;

both!(container_that_joins_has_nothing_to_steal_before_it_has_left_the_host);

/// How many containers join the hostile one's namespaces.
const CONTAINERS: usize = 10;

fn container_that_joins_has_nothing_to_steal_before_it_has_left_the_host(t: &Test) {
    let mut hostile = t.bundle(&["true"]);
    hostile.mapped();
    let tracing = json!(["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"]);
    let sets = json!({"bounding": tracing, "permitted": tracing, "effective": tracing});
    hostile.set("/process/capabilities", sets);
    let hunt = Hunt::start(t, &mut hostile, "hostile", "true");

    let mut second = hostile.sibling(t, &["true"]);
    let pid = t.state("hostile")["pid"].to_string();
    for kind in ["user", "pid"] {
        let joined = json!({"type": kind, "path": format!("/proc/{pid}/ns/{kind}")});
        second.without_namespace(kind).set("/linux/namespaces/-", joined);
    }
    second.remove("/linux/uidMappings").remove("/linux/gidMappings");
    second.write();
    hunt.in_vain(attempts(CONTAINERS), || drop(t.run(&second).ok()));
    hunt.assert_able(t, "hostile");
    t.delete_force("hostile").ok();
}
