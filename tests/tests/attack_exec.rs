//! `exec` into a container with a hostile process: what joins is visible inside before it has become the program,
//! and must have nothing that leads to the host. (CVE-2016-9962 and similar.)

use std::fs;

use rootling_tests::hunt::Hunt;
use rootling_tests::{Bundle, Socket, Test, attempts, both, eventually, root, user};
use serde_json::json;

both!(
    program_of_rootling_is_not_overwritten_by_way_of_a_process_that_joins,
    program_of_rootling_is_not_overwritten_by_way_of_a_created_container,
    created_container_waits_with_the_filter_and_capabilities_of_its_program,
    joining_process_has_nothing_to_steal_while_an_agent_gets_its_listener,
    joining_process_has_nothing_to_steal_for_a_tracer_of_its_user_namespace,
);
root!(joining_process_has_nothing_to_steal_for_a_tracer_of_the_hosts_user_namespace);
user!(process_that_has_the_runtimes_memory_is_out_of_reach_through_the_hosts_proc);

/// How many programs are executed in the container while the hunter is running there.
const EXECS: usize = 30;

/// Lets the container's processes trace others.
fn allow_tracing(bundle: &mut Bundle) {
    for set in ["bounding", "permitted", "effective"] {
        bundle.set(&format!("/process/capabilities/{set}/-"), "CAP_SYS_PTRACE".into());
    }
}

/// To fetch the listener of SCMP_ACT_NOTIFY, the runtime needs access to the process that has loaded the filter. No
/// process of the container may gain access by that, even without any capability for it.
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

/// In this case CAP_SYS_PTRACE applies only to the container's own processes.
fn joining_process_has_nothing_to_steal_for_a_tracer_of_its_user_namespace(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.mapped();
    hunted_by_a_tracer(t, bundle);
}

/// In this case CAP_SYS_PTRACE applies to every visible process, dumpable or not.
fn joining_process_has_nothing_to_steal_for_a_tracer_of_the_hosts_user_namespace(t: &Test) {
    hunted_by_a_tracer(t, t.bundle(&["true"]));
}

/// A process of `exec`, or of a container that shares the pid namespace, may trace what waits for its start, which
/// has no more to give than the program will have.
fn created_container_waits_with_the_filter_and_capabilities_of_its_program(t: &Test) {
    let rule = json!({"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"});
    let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
    for (profile, mode) in [(Some(profile), "2"), (None, "0")] {
        for no_new_privileges in [true, false] {
            let mut bundle = t.bundle(&["sleep", "1000000"]);
            bundle.set("/process/noNewPrivileges", no_new_privileges.into());
            if let Some(profile) = &profile {
                bundle.set("/linux/seccomp", profile.clone());
            }
            t.create(bundle.write(), "c").ok();
            let pid = t.state("c")["pid"].to_string();
            let attributes = || -> Vec<String> {
                let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
                let wanted = [
                    "CapInh",
                    "CapPrm",
                    "CapEff",
                    "CapBnd",
                    "CapAmb",
                    "NoNewPrivs",
                    "Seccomp:",
                    "Uid",
                    "Gid",
                ];
                let lines = status.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name)));
                lines.map(str::to_owned).collect()
            };
            let waiting = attributes();
            assert!(waiting.contains(&format!("Seccomp:\t{mode}")), "{waiting:?}");
            t.start("c").ok();
            assert_eq!(waiting, attributes(), "noNewPrivileges {no_new_privileges}");
            t.delete_force("c").ok();
        }
    }
}

/// Copies /bin/sleep as a program on the host that the account may write to.
fn writable_sleep(t: &Test) -> std::path::PathBuf {
    let prey = t.path("prey");
    t.command("cp").arg("/bin/sleep").arg(&prey).output().ok();
    prey
}

/// CVE-2019-5736. Until it is the program, what joins is rootling; and if the program is /proc/self/exe, it is
/// rootling for as long as that runs.
fn program_of_rootling_is_not_overwritten_by_way_of_a_process_that_joins(t: &Test) {
    let binary = t.writable_binary();
    let bytes = fs::read(&binary).expect("read the program");
    let mut bundle = t.bundle(&["true"]);
    allow_tracing(&mut bundle);
    let prey = writable_sleep(t);
    let hunt = Hunt::for_programs(t, &mut bundle, "c", "true", &[&binary, &prey]);
    hunt.in_vain(attempts(EXECS), || {
        for program in [&["true"][..], &["/proc/self/exe", "--version"]] {
            let exec = t.command(&binary).arg("--root").arg(t.state_root()).args(&["exec", &t.id("c")]);
            exec.args(program).output().ok();
        }
    });
    assert!(fs::read(&binary).expect("read the program") == bytes, "rootling's own program was changed");
    hunt.assert_able_to_overwrite(t, "c", &prey);
    t.delete_force("c").ok();
}

/// The same for what waits for its start, which a process of `exec` can see: it keeps the program open until it can
/// be written to, after the container has been started.
fn program_of_rootling_is_not_overwritten_by_way_of_a_created_container(t: &Test) {
    const OVERWRITE: &str = "exec 9</proc/1/exe; n=0; echo open >/tmp/open; while :; do
        echo overwritten >/proc/self/fd/9 && echo overwritten >/tmp/could
        n=$((n + 1)); echo $n >/tmp/n; sleep 0.05
    done";
    let binary = t.writable_binary();
    let bytes = fs::read(&binary).expect("read the program");
    let bundle = t.bundle(&["sleep", "1000000"]);
    let create = t.command(&binary).arg("--root").arg(t.state_root()).args(&["create", "-b"]);
    create.arg(bundle.write().dir()).arg(t.id("c")).output().ok();
    let exec = t.exec(&["-d"], "c", &["sh", "-c", OVERWRITE]);
    exec.stdin(std::process::Stdio::null()).output().ok();
    eventually("the program that waits is open", || bundle.rootfs("tmp/open").exists());
    t.start("c").ok();
    let tries = || fs::read_to_string(bundle.rootfs("tmp/n")).ok().and_then(|n| n.trim().parse::<u32>().ok());
    let before = tries().unwrap_or_default();
    eventually("it was tried to overwrite it", || tries().is_some_and(|n| n > before + 3));
    assert!(!bundle.rootfs("tmp/could").exists(), "rootling's own program could be written");
    assert!(fs::read(&binary).expect("read the program") == bytes, "rootling's own program was changed");
    t.delete_force("c").ok();
}

/// Looks into every process that appears on the host, and reports what it got at while the process kept its name.
const LOOK_AROUND: &str = r#"
known=" $(cd /host && echo [0-9]*) "
: > /log/ready
while :; do
    for p in $(cd /host && echo [0-9]*); do
        case "$known" in *" $p "*) continue;; esac
        read name < /host/$p/comm || continue
        case "$name" in sh|true) continue;; esac
        echo "$name" >> /log/seen
        for look in "readlink /host/$p/root" "readlink /host/$p/fd/0" "grep -q . /host/$p/environ" "grep -q . /host/$p/maps"; do
            $look > /dev/null 2> /dev/null && read now < /host/$p/comm && [ "$now" = "$name" ] &&
                echo "$name: $look" >> /log/could
        done
    done
done"#;

/// The process that joins is in the container's user namespace, where the container has every capability, and shares the
/// memory of the runtime. The container cannot see it in its own /proc, but here it has the host's as well.
fn process_that_has_the_runtimes_memory_is_out_of_reach_through_the_hosts_proc(t: &Test) {
    let mut bundle = t.shell(LOOK_AROUND);
    allow_tracing(&mut bundle);
    let log = t.path("log");
    t.command("mkdir").arg(&log).output().ok();
    let host = json!({"destination": "/host", "source": "/proc", "options": ["rbind"]});
    bundle.set("/mounts/-", host);
    bundle.set("/mounts/-", json!({"destination": "/log", "source": log, "options": ["bind"]}));
    t.run_detached(bundle.write(), "c").ok();
    eventually("the container looks around", || log.join("ready").exists());
    // In microseconds: what joins stays in the user namespace until all has been tried.
    let slow = "inject=setns:delay_exit=1500000";
    let strace = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=setns", "-e", slow];
    t.exec::<&str>(&[], "c", &["true"]).under(&strace).output().ok();
    let seen = fs::read_to_string(log.join("seen")).expect("what the container has seen");
    let name = t.binary().file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    let joins = |line: &&str| name.starts_with(*line) || line.starts_with("memfd:");
    // The runtime, and the one that joins.
    assert!(seen.lines().filter(joins).count() > 1, "{seen}");
    let could = fs::read_to_string(log.join("could")).unwrap_or_default();
    assert_eq!(could, "");
    t.delete_force("c").ok();
}
