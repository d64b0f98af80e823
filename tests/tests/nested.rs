//! rootling inside namespaces and containers.

use std::fs;
use std::process::Stdio;

use rootling_tests::{Bundle, Cmd, Ids, Output, Test, skip, source, user};
use serde_json::{Value, json};

user!(
    covered_proc_is_bound_with_a_warning,
    strict_refuses_a_covered_proc,
    uncovered_namespaces_get_their_own_proc_and_sys,
    own_network_of_a_namespace_has_a_sysfs,
    root_of_a_user_namespace_keeps_compiled_profiles,
    program_of_the_outer_root_is_executed_as_it_is,
    program_of_nobody_of_the_namespace_is_copied,
    maps_over_a_border_of_the_outer_map_are_cut,
    id_that_the_outer_map_lacks_is_named,
    container_runs_in_our_own_container,
    container_without_setfcap_says_what_it_needs,
    seccomp_of_the_outer_container_is_named,
    lifecycle_works_in_our_own_container,
    script_of_ci_runs_in_our_own_container,
);

/// `command` as root of a user and mount namespace, after `script`.
fn unshared(command: Cmd, flags: &str, script: &str) -> Cmd {
    let script = format!("set -e; {script}; exec \"$@\"");
    let mut line = vec!["unshare"];
    line.extend(flags.split(' '));
    line.extend(["sh", "-c", &script, "sh"]);
    command.under(&line)
}

/// Prints how /proc and /sys were made; no user namespace is configured.
fn looker(t: &Test) -> Bundle {
    let mut bundle = t.shell("grep -cE ' /proc/(acpi|bus) ' /proc/self/mountinfo; id -u");
    bundle.ids(Ids::None).remove("/linux/maskedPaths");
    bundle.remove("/linux/readonlyPaths").write();
    bundle
}

const COVER: &str = "mount -t tmpfs none /proc/bus";

fn covered_proc_is_bound_with_a_warning(t: &Test) {
    let output = unshared(t.run_command(&looker(t)), "-Urm", COVER).output().ok();
    assert_eq!(output.stdout, "1\n0\n", "the cover is there inside: {output}");
    assert_eq!(output.stderr.matches("replaced by a bind of the outer /proc").count(), 1, "{output}");
    assert!(output.stderr.contains("the container sees the processes outside of it"), "{output}");
}

fn strict_refuses_a_covered_proc(t: &Test) {
    let command = t.rootling(&["run", "--strict", "-b"]).arg(looker(t).dir()).arg(t.id("c"));
    let output = unshared(command, "-Urm", COVER).output();
    output.fails_with(&["mounts[0]: proc on /proc", "without --strict", "rootling doctor"]);
}

fn uncovered_namespaces_get_their_own_proc_and_sys(t: &Test) {
    let output = unshared(t.run_command(&looker(t)), "-Urm", "true").output();
    // grep exits with 1 without a match, and the script continues.
    assert_eq!(output.ok().stdout, "0\n0\n");
}

fn own_network_of_a_namespace_has_a_sysfs(t: &Test) {
    let mut bundle = t.shell("grep ' /sys ' /proc/self/mountinfo; ls /sys/class/net");
    bundle.ids(Ids::None).without_namespace("network").write();
    let owned = unshared(t.run_command(&bundle), "-Urmn", "true").output().ok();
    // A separate sysfs shows the one device of the outer network namespace.
    assert!(owned.stdout.contains(" - sysfs sysfs ") && owned.stdout.ends_with("\nlo\n"), "{owned}");
}

/// podman gives its runtime a user namespace in which the runtime is root, and possibly no home directory.
fn root_of_a_user_namespace_keeps_compiled_profiles(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    let rules = json!([{"names": ["swapon"], "action": "SCMP_ACT_ERRNO"}]);
    bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}));
    bundle.ids(Ids::None).write();
    let (home, run) = (t.path("home"), t.path("run"));
    let run_with = |name: &str, dir: &std::path::Path| {
        // Without a cgroup manager that is reached through the runtime directory.
        let command = t.rootling_without_flags(&["run", "-b"]).arg(bundle.dir()).arg(t.id("c"));
        let command = command.without_env("HOME").without_env("XDG_CACHE_HOME");
        let made = format!("mkdir -p {}", dir.display());
        unshared(command.without_env("XDG_RUNTIME_DIR").env(name, dir), "-Urm", &made).output().ok();
    };
    run_with("HOME", &home);
    run_with("XDG_RUNTIME_DIR", &run);
    for dir in [home.join(".cache/rootling/seccomp"), run.join("rootling-seccomp")] {
        assert_eq!(fs::read_dir(&dir).expect("the cache").count(), 1, "{}", dir.display());
    }
}

/// It needs no copy in memory, although its owner looks like an id of the namespace.
fn program_of_the_outer_root_is_executed_as_it_is(t: &Test) {
    let mut bundle = t.shell("sleep 1000");
    bundle.ids(Ids::None).write();
    let program = |binary: &std::path::Path| {
        let mut command = t.command(binary).arg("--root").arg(t.state_root()).args(&t.flags());
        command = command.args(&["create", "-b"]).arg(bundle.dir()).arg(t.id("c"));
        command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        unshared(command, "-Urm", "true").output().ok();
        let exe = fs::read_link(format!("/proc/{}/exe", t.state("c")["pid"])).expect("its program");
        t.delete_force("c").ok();
        exe.display().to_string()
    };
    assert!(program(&t.writable_binary()).starts_with("/memfd:rootling"));
    if t.binary_copies_itself() {
        return skip("the program under test belongs to the account, which may write it");
    }
    assert_eq!(program(t.binary()), t.binary().display().to_string());
}

const ALL: &str = "-Urm --map-auto";

/// 65534 is what an owner without an id looks like, but it may also be an id.
fn program_of_nobody_of_the_namespace_is_copied(t: &Test) {
    let mut bundle = t.shell("sleep 1000");
    bundle
        .set("/linux/uidMappings", json!([map(0, 65535)]))
        .set("/linux/gidMappings", json!([map(0, 65535)]));
    bundle.write();
    let dir = t.path("nobody");
    let binary = dir.join("rootling");
    let script = format!(
        "mkdir {dir}; cp {} {}; chmod 755 {dir}; chown -R 65534 {dir}",
        t.binary().display(),
        binary.display(),
        dir = dir.display()
    );
    let mut command = t.command(&binary).arg("--root").arg(t.state_root()).args(&t.flags());
    command = command.args(&["create", "-b"]).arg(bundle.dir()).arg(t.id("c"));
    command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    unshared(command, ALL, &script).output().ok();
    let exe = fs::read_link(format!("/proc/{}/exe", t.state("c")["pid"])).expect("its program");
    t.delete_force("c").ok();
    assert_eq!(exe.to_str(), Some("/memfd:rootling (deleted)"));
}

fn map(first: u32, size: u32) -> Value {
    json!({"containerID": first, "hostID": first, "size": size})
}

/// The outer map has one row for root and one for all others.
fn maps_over_a_border_of_the_outer_map_are_cut(t: &Test) {
    let mut bundle = t.shell("cat /proc/self/uid_map; echo; cat /proc/self/gid_map");
    bundle.set("/linux/uidMappings", json!([map(0, 1000)])).set("/linux/gidMappings", json!([map(0, 500)]));
    let output = unshared(t.run_command(bundle.write()), ALL, "true").output().ok();
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "1", "1", "1", "999", "0", "0", "1", "1", "1", "499"], "{output}");
}

fn id_that_the_outer_map_lacks_is_named(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.set("/linux/uidMappings", json!([map(0, 2)])).set("/linux/gidMappings", json!([map(0, 2)]));
    let output = unshared(t.run_command(bundle.write()), "-Urm", "true").output();
    output.fails_with(&["uid_map", "EPERM", "has no id 1: map ids of /proc/self/uid_map"]);
}

/// A bundle that has another bundle in its root file system at /inner, and rootling at /rootling.
fn outer(t: &Test, inner: &Bundle, script: &str) -> Bundle {
    let mut outer = t.shell(script);
    outer.engine_capabilities(&[]);
    outer.ids(Ids::None).set("/process/env/-", format!("ID={}", t.id("inner")).into());
    for (at, source) in [("/rootling", t.binary()), ("/inner", inner.dir())] {
        let mount = json!({"destination": at, "type": "bind", "source": source, "options": ["rbind"]});
        outer.set("/mounts/-", mount);
    }
    outer
}

/// Runs `inner` in a container with the capabilities and masks that podman and Docker use.
fn run_inside(t: &Test, inner: &Bundle, change: impl FnOnce(&mut Bundle)) -> Output {
    let mut outer = outer(t, inner, "/rootling --root /tmp/state run -b /inner $ID");
    change(&mut outer);
    t.run(outer.write())
}

fn inner(t: &Test) -> Bundle {
    let mut inner =
        t.shell("id -u; cat /proc/self/uid_map; ls /dev/null /sys/class/net >/dev/null && echo fine");
    inner.ids(Ids::None).write();
    inner
}

fn container_runs_in_our_own_container(t: &Test) {
    let output = run_inside(t, &inner(t), |_| ()).ok();
    assert!(output.stdout.starts_with("0\n") && output.stdout.ends_with("fine\n"), "{output}");
    assert!(output.stderr.contains("replaced by a bind of the outer /proc"), "{output}");
}

fn container_without_setfcap_says_what_it_needs(t: &Test) {
    let output = run_inside(t, &inner(t), |outer| {
        for set in ["bounding", "effective", "permitted"] {
            outer.set(&format!("/process/capabilities/{set}"), json!(["CAP_SETUID", "CAP_SETGID"]));
        }
    });
    assert_eq!(output.exit(), 1, "{output}");
    assert!(output.stderr.contains("cannot be mapped without CAP_SETFCAP"), "{output}");
}

/// CLONE_NEWUSER
const NEW_USER: u64 = 0x1000_0000;

/// As in Docker's profile.
fn seccomp_of_the_outer_container_is_named(t: &Test) {
    let output = run_inside(t, &inner(t), |outer| {
        outer.set(
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
                {"names": ["clone"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": [
                    {"index": 0, "value": NEW_USER, "valueTwo": NEW_USER, "op": "SCMP_CMP_MASKED_EQ"}
                ]}
            ]}),
        );
    });
    assert_eq!(output.exit(), 1, "{output}");
    for part in [
        "clone3: EPERM",
        "seccomp filter of the outer container",
        "--security-opt seccomp=",
        "rootling doctor",
    ] {
        assert!(output.stderr.contains(part), "{part}: {output}");
    }
}

fn lifecycle_works_in_our_own_container(t: &Test) {
    let mut inner = t.bundle(&["sh", "-c", "echo ran > /made"]);
    inner.ids(Ids::None).write();
    let script = "set -e; r='/rootling --root /tmp/state'
        $r create -b /inner $ID; $r start $ID
        until $r state $ID | grep -q stopped; do sleep 0.01; done
        $r delete $ID; /rootling doctor --json >/tmp/report; grep '\"ok\":' /tmp/report";
    let outer = outer(t, &inner, script);
    let output = t.run(outer.write()).ok();
    assert_eq!(output.stdout, "  \"ok\": true,\n", "{output}");
    assert_eq!(fs::read_to_string(inner.rootfs("made")).expect("what it made"), "ran\n");
}

/// As docs/ci.md says about podman's default.
fn script_of_ci_runs_in_our_own_container(t: &Test) {
    let inner = t.bundle(&["true"]);
    let script = "cd /work && export NETWORK=host && sh /container.sh busybox: sh -c 'id -u; pwd; echo made >made; exit 7'
        echo code=$? $(cat logs/exit-code)";
    let mut outer = outer(t, inner.write(), script);
    let image = t.binary().with_file_name("rootling-image");
    let work = t.path("work");
    t.command("mkdir").arg(&work).output().ok();
    for (at, source) in [
        ("/bin/rootling", t.binary()),
        ("/bin/rootling-image", &image),
        ("/container.sh", &source("hack/ci/container.sh")),
        ("/work", &work),
    ] {
        let mount = json!({"destination": at, "type": "bind", "source": source, "options": ["rbind"]});
        outer.set("/mounts/-", mount);
    }
    let output = t.run(outer.write()).ok();
    assert_eq!(output.stdout, "0\n/src\ncode=7 7\n", "{output}");
    assert_eq!(fs::read_to_string(work.join("made")).expect("what it made"), "made\n");
}
