//! `exec` into a container with a hostile process: what joins is visible in there before it has become the
//! program, and must have nothing that leads to the host. (CVE-2016-9962 and its kin.)

use rootling_tests::hunt::Hunt;
use rootling_tests::{Bundle, Socket, Test, Who, attempts, both, root};
use serde_json::json;

both!(
    created_container_is_not_traced_before_its_filter,
    joining_process_has_nothing_to_steal_while_an_agent_gets_its_listener,
    joining_process_has_nothing_to_steal_for_a_tracer_of_its_user_namespace,
);
root!(joining_process_has_nothing_to_steal_for_a_tracer_of_the_hosts_user_namespace);

/// How many programs are executed in the container while it is hunted in there.
const EXECS: usize = 30;

/// Lets the container's processes trace others.
fn allow_tracing(bundle: &mut Bundle) {
    for set in ["bounding", "permitted", "effective"] {
        bundle.set(&format!("/process/capabilities/{set}/-"), "CAP_SYS_PTRACE".into());
    }
}

/// To fetch the listener of SCMP_ACT_NOTIFY, the runtime needs access to the process that has loaded the filter; no
/// process of the container may get it with that, although it has no capability for it.
fn joining_process_has_nothing_to_steal_while_an_agent_gets_its_listener(t: &Test) {
    let agent = Socket::listen(t, "agent");
    let rule = json!({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"});
    let profile =
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule], "listenerPath": agent.path()});
    for (name, no_new_privileges) in [("with", true), ("without", false)] {
        let mut bundle = t.bundle(&["true"]);
        bundle.set("/linux/seccomp", profile.clone());
        bundle.set("/process/noNewPrivileges", no_new_privileges.into());
        let hunt = Hunt::start(t, &mut bundle, name, "true");
        drop(agent.receive());
        hunt.in_vain(attempts(EXECS), || {
            t.exec(&[""; 0], name, &["true"]).output().ok();
            drop(agent.receive());
        });
        t.delete_force(name).ok();
    }
}

fn hunted_by_a_tracer(t: &Test, mut bundle: Bundle) {
    allow_tracing(&mut bundle);
    let hunt = Hunt::start(t, &mut bundle, "c", "true");
    hunt.in_vain(attempts(EXECS), || drop(t.exec(&[""; 0], "c", &["true"]).output().ok()));
    hunt.assert_able(t, "c");
    t.delete_force("c").ok();
}

/// There CAP_SYS_PTRACE is for the container's own processes only.
fn joining_process_has_nothing_to_steal_for_a_tracer_of_its_user_namespace(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.mapped();
    hunted_by_a_tracer(t, bundle);
}

/// There CAP_SYS_PTRACE is for every process that is in sight, dumpable or not.
fn joining_process_has_nothing_to_steal_for_a_tracer_of_the_hosts_user_namespace(t: &Test) {
    hunted_by_a_tracer(t, t.bundle(&["true"]));
}

/// What waits for its start has no filter yet. A process of `exec`, which has it, could have the one that waits do what
/// the filter is against, if it were let near it.
fn created_container_is_not_traced_before_its_filter(t: &Test) {
    let look = |t: &Test| t.exec(&[""; 0], "c", &["readlink", "/proc/1/cwd"]).output();
    let mut bundle = t.bundle(&["sleep", "1000000"]);
    // Without a filter that is still to come, the owner may look at it, and with that what it executes in there.
    t.create(bundle.remove("/linux/seccomp").write(), "c").ok();
    assert_eq!(look(t).ok().stdout, "/\n");
    t.delete_force("c").ok();
    for no_new_privileges in [true, false] {
        bundle.set("/process/noNewPrivileges", no_new_privileges.into());
        bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW"}));
        bundle.set(
            "/linux/seccomp/syscalls",
            json!([{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]),
        );
        t.create(bundle.write(), "c").ok();
        match t.who() {
            // Root joins it all the same; what it executes may not look.
            Who::Root => {
                let output = look(t);
                assert!(output.exit() != 0 && output.stdout.is_empty(), "{output}");
            }
            Who::User => {
                look(t).fails_with(&["start it first"]);
            }
        }
        t.start("c").ok();
        assert_eq!(look(t).ok().stdout, "/\n");
        t.delete_force("c").ok();
    }
}
