//! `process.scheduler`, `process.ioPriority`, CPU affinity, `linux.personality` and `linux.memoryPolicy`, as the
//! kernel shows them to the program.

use std::fs;

use rootling_tests::{Bundle, Test, both, root, skip, user};
use serde_json::{Value, json};

both!(
    policy_and_nice_value_are_the_configured_ones,
    io_priority_is_the_configured_one,
    affinity_is_not_the_callers,
    affinity_of_the_configuration_is_for_exec,
    personality_has_its_domain_and_flags,
    memory_is_of_the_configured_nodes,
    wrong_values_are_one_line_that_names_the_field,
);
root!(realtime_and_deadline_policies_are_for_root, realtime_io_is_for_root);
user!(what_only_root_may_is_an_error);

/// The policy, the nice value and the real-time priority: fields 41, 19 and 40 of proc_pid_stat(5).
fn scheduling(t: &Test, bundle: &mut Bundle) -> [i64; 3] {
    bundle.set("/process/args", json!(["cat", "/proc/self/stat"]));
    let output = t.run(bundle.write()).ok();
    // After the name, which is the second field and in parentheses.
    let (_, rest) = output.stdout.rsplit_once(')').expect("a name");
    let fields: Vec<_> = rest.split_whitespace().collect();
    [41, 19, 40].map(|number| fields[number - 3].parse().expect("a number"))
}

fn check(t: &Test, cases: &[(Value, [i64; 3])]) {
    let mut bundle = t.bundle(&["true"]);
    for (scheduler, expected) in cases {
        bundle.set("/process/scheduler", scheduler.clone());
        assert_eq!(scheduling(t, &mut bundle), *expected, "{scheduler}");
    }
}

fn policy_and_nice_value_are_the_configured_ones(t: &Test) {
    let cases = [
        (json!({"policy": "SCHED_OTHER", "nice": 5}), [0, 5, 0]),
        (json!({"policy": "SCHED_BATCH", "nice": 19}), [3, 19, 0]),
        (json!({"policy": "SCHED_IDLE"}), [5, 0, 0]),
        (json!({"policy": "SCHED_OTHER"}), [0, 0, 0]),
    ];
    check(t, &cases);
    // Its children are ordinary again: sched_getscheduler(2) returns SCHED_RESET_ON_FORK as 0x40000000.
    let mut bundle = t.bundle(&["probe", "call", &format!("{},0", libc::SYS_sched_getscheduler)]);
    t.with_probe(&bundle);
    let flags = json!({"policy": "SCHED_BATCH", "flags": ["SCHED_FLAG_RESET_ON_FORK"]});
    bundle.set("/process/scheduler", flags);
    assert_eq!(t.run(bundle.write()).ok().text(), (0x4000_0000 + 3).to_string());
}

fn realtime_and_deadline_policies_are_for_root(t: &Test) {
    let deadline = json!({"policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 100_000_000});
    check(t, &[(json!({"policy": "SCHED_OTHER", "nice": -20}), [0, -20, 0]), (deadline, [6, 0, 0])]);
    if fs::exists("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").unwrap_or(false) {
        return skip("a cgroup has no real-time share of its own here");
    }
    let cases = [
        (json!({"policy": "SCHED_FIFO", "priority": 10}), [1, 0, 10]),
        (json!({"policy": "SCHED_RR", "priority": 99}), [2, 0, 99]),
    ];
    check(t, &cases);
}

fn what_only_root_may_is_an_error(t: &Test) {
    let bundle = t.bundle(&["true"]);
    for (field, value) in [
        ("scheduler", json!({"policy": "SCHED_FIFO", "priority": 10})),
        ("scheduler", json!({"policy": "SCHED_OTHER", "nice": -5})),
        ("ioPriority", json!({"class": "IOPRIO_CLASS_RT", "priority": 2})),
    ] {
        let mut bundle = bundle.clone();
        bundle.set(&format!("/process/{field}"), value);
        t.run(bundle.write()).fails_with(&[&format!("process.{field}"), "EPERM", "root"]);
    }
}

fn io_priority(t: &Test, cases: &[(&str, u32, &str)]) {
    let mut bundle = t.bundle(&["ionice"]);
    for (class, priority, shown) in cases {
        bundle.set("/process/ioPriority", json!({"class": class, "priority": priority}));
        assert_eq!(t.run(bundle.write()).ok().text(), *shown, "{class}");
    }
}

fn io_priority_is_the_configured_one(t: &Test) {
    io_priority(
        t,
        &[
            ("IOPRIO_CLASS_BE", 6, "best-effort: prio 6"),
            ("IOPRIO_CLASS_BE", 0, "best-effort: prio 0"),
            ("IOPRIO_CLASS_IDLE", 0, "idle"),
        ],
    );
}

fn realtime_io_is_for_root(t: &Test) {
    io_priority(t, &[("IOPRIO_CLASS_RT", 2, "realtime: prio 2")]);
}

const SHOW_AFFINITY: [&str; 3] = ["grep", "Cpus_allowed_list", "/proc/self/status"];

/// As in runc: the process that started the container may be bound to a CPU, but the container is not.
fn affinity_is_not_the_callers(t: &Test) {
    let bundle = t.bundle(&SHOW_AFFINITY);
    let all = t.run(bundle.write()).ok().stdout;
    let bound = t.run_command(&bundle).under(&["taskset", "-c", "0"]).output().ok();
    assert_eq!(bound.stdout, all);
}

fn affinity_of_the_configuration_is_for_exec(t: &Test) {
    let mut bundle = t.bundle(&["sh", "-c", "grep Cpus_allowed_list /proc/self/status; exec sleep 1000"]);
    let before = t.run(t.bundle(&SHOW_AFFINITY).write()).ok().stdout;
    bundle.set("/process/execCPUAffinity", json!({"initial": "0", "final": "0"}));
    let mut running = t.run_command(bundle.write()).spawn();
    running.prints(&before);
    assert_eq!(t.exec(&[""; 0], "c", &SHOW_AFFINITY).output().ok().stdout, "Cpus_allowed_list:\t0\n");
    t.delete_force("c").ok();
    running.child.wait().expect("the end of run");
}

fn personality_has_its_domain_and_flags(t: &Test) {
    let mut bundle = t.shell("cat /proc/self/personality; uname -m");
    let machine = std::env::consts::ARCH;
    let narrow = match machine {
        "x86_64" => "i686",
        "aarch64" => "armv8l",
        other => other,
    };
    for (personality, number, shown) in [
        (json!({"domain": "LINUX"}), "00000000", machine),
        (json!({"domain": "LINUX32"}), "00000008", narrow),
        (json!({"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}), "00040000", machine),
        (json!({"domain": "LINUX32", "flags": ["UNAME26", "SHORT_INODE"]}), "01020008", narrow),
    ] {
        bundle.set("/linux/personality", personality.clone());
        assert_eq!(t.run(bundle.write()).ok().stdout, format!("{number}\n{shown}\n"), "{personality}");
    }
}

fn memory_is_of_the_configured_nodes(t: &Test) {
    if !fs::exists("/proc/self/numa_maps").unwrap_or(false) {
        return skip("this kernel knows no NUMA nodes");
    }
    // Field 2 in numa(7): the policy of the program's own memory.
    let mut bundle = t.shell("grep -m1 heap /proc/self/numa_maps | cut -d' ' -f2");
    for (policy, shown) in [
        (json!({"mode": "MPOL_BIND", "nodes": "0"}), "bind:0"),
        (json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}), "bind=static:0"),
        (json!({"mode": "MPOL_INTERLEAVE", "nodes": "0"}), "interleave:0"),
        (json!({"mode": "MPOL_PREFERRED", "nodes": "0"}), "prefer:0"),
        (json!({"mode": "MPOL_LOCAL"}), "local"),
        (json!({"mode": "MPOL_DEFAULT"}), "default"),
    ] {
        bundle.set("/linux/memoryPolicy", policy.clone());
        assert_eq!(t.run(bundle.write()).ok().text(), shown, "{policy}");
    }
    bundle.set("/linux/memoryPolicy", json!({"mode": "MPOL_BIND", "nodes": "1023"}));
    t.run(bundle.write()).fails_with(&["linux.memoryPolicy", "1023"]);
}

fn wrong_values_are_one_line_that_names_the_field(t: &Test) {
    let bundle = t.bundle(&["true"]);
    let cases: [(&str, Value, &[&str]); 9] = [
        ("/process/scheduler", json!({"policy": "SCHED_FAST"}), &["process.scheduler.policy", "SCHED_FAST"]),
        ("/process/scheduler", json!({"policy": "SCHED_FIFO"}), &["process.scheduler", "use 1 to 99"]),
        (
            "/process/scheduler",
            json!({"policy": "SCHED_DEADLINE", "runtime": 9, "deadline": 5}),
            &["process.scheduler", "runtime <= deadline"],
        ),
        (
            "/process/ioPriority",
            json!({"class": "FAST", "priority": 0}),
            &["process.ioPriority.class", "FAST"],
        ),
        ("/process/execCPUAffinity", json!({"final": "a"}), &["process.execCPUAffinity.final", "a"]),
        ("/linux/personality", json!({"domain": "WINDOWS"}), &["linux.personality.domain", "WINDOWS"]),
        (
            "/linux/personality",
            json!({"domain": "LINUX", "flags": ["FAST"]}),
            &["linux.personality.flags", "FAST"],
        ),
        ("/linux/memoryPolicy", json!({"mode": "MPOL_NEAR"}), &["linux.memoryPolicy.mode", "MPOL_NEAR"]),
        ("/linux/memoryPolicy", json!({"mode": "MPOL_BIND"}), &["linux.memoryPolicy", "at least one node"]),
    ];
    for (pointer, value, parts) in cases {
        let mut bundle = bundle.clone();
        bundle.set(pointer, value);
        t.run(bundle.write()).fails_with(parts);
    }
}
