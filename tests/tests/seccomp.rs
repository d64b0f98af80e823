//! `linux.seccomp`: the result of a filtered call, and the flags, the agent and the cache of a profile.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;

use rootling_tests::{Bundle, Output, Socket, Test, both, eventually, sys};
use serde_json::{Value, json};

both!(
    refused_call_gets_the_errno_of_its_rule,
    killed_call_ends_the_program,
    logged_call_goes_through,
    unknown_names_are_skipped,
    arguments_decide,
    call_newer_than_the_profile_is_not_implemented,
    filter_holds_with_and_without_no_new_privileges,
    filter_may_refuse_what_the_runtime_uses,
    filter_may_refuse_what_is_about_signals,
    filter_that_ends_a_thread_of_the_launch_ends_the_launch,
    flags_reach_the_kernel,
    empty_profile_is_none,
    wrong_profile_is_one_line_that_names_the_field,
    profile_that_libseccomp_does_not_come_to_an_end_with_is_an_error,
    agent_gets_the_listener_and_the_state,
    agent_answers_for_the_kernel,
    agent_that_is_not_there_fails_run_and_create,
    agent_answers_for_a_program_that_joins,
    cache_is_its_owners_and_damage_is_repaired,
    cache_is_not_believed_where_others_may_write,
    cache_tells_profiles_apart,
    writers_of_one_entry_do_not_disturb_each_other,
);

/// A profile that allows everything except for `names`.
fn filter(bundle: &mut Bundle, names: &[&str], action: &str, errno: Option<u32>) {
    let mut rule = json!({"names": names, "action": action});
    if let Some(errno) = errno {
        rule["errnoRet"] = errno.into();
    }
    bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}));
}

/// What a C library may make a directory with. Newer architectures do not have mkdir(2).
const MAKE_DIRECTORY: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    libc::SYS_mkdirat,
];

const MKDIR: [&str; 2] = ["mkdir", "mkdirat"];

/// ENOSPC, which no directory of the tests would return for another reason.
const NO_SPACE: u32 = 28;

/// The results of `calls` in a container of this bundle, whose program is the probe.
fn probe(t: &Test, bundle: &mut Bundle, calls: &[String]) -> Vec<String> {
    let args: Vec<_> = ["probe", "call"].into_iter().chain(calls.iter().map(String::as_str)).collect();
    bundle.set("/process/args", args.into());
    t.run(bundle.write()).ok().stdout.lines().map(str::to_owned).collect()
}

fn refused_call_gets_the_errno_of_its_rule(t: &Test) {
    let mut bundle = t.shell("mkdir /tmp/new; test ! -e /tmp/new");
    for (errno, text) in [
        (None, "Operation not permitted"),
        (Some(NO_SPACE), "No space left on device"),
        (Some(38), "not implemented"),
    ] {
        filter(&mut bundle, &MKDIR, "SCMP_ACT_ERRNO", errno);
        let output = t.run(bundle.write()).ok();
        assert!(output.stderr.contains(text), "{output}");
    }
}

fn killed_call_ends_the_program(t: &Test) {
    let mut bundle = t.shell("ulimit -c 0; mkdir /tmp/new; echo \"ended $?\"; test ! -e /tmp/new");
    for action in ["SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL", "SCMP_ACT_TRAP"] {
        filter(&mut bundle, &MKDIR, action, None);
        // 128 plus SIGSYS, as in a shell.
        assert_eq!(t.run(bundle.write()).ok().stdout, "ended 159\n", "{action}");
    }
}

fn logged_call_goes_through(t: &Test) {
    let mut bundle = t.shell("mkdir /tmp/new && rmdir /tmp/new; grep Seccomp: /proc/self/status");
    filter(&mut bundle, &MKDIR, "SCMP_ACT_LOG", None);
    assert_eq!(t.run(bundle.write()).ok().stdout, "Seccomp:\t2\n");
}

fn unknown_names_are_skipped(t: &Test) {
    let mut bundle = t.shell("mkdir /tmp/new");
    filter(&mut bundle, &["no_such_call", "mkdir", "mkdirat"], "SCMP_ACT_ERRNO", Some(NO_SPACE));
    let output = t.run(bundle.write()).code(1);
    assert!(output.stderr.contains("No space left on device"), "{output}");
}

/// personality(2) with each operator on its argument, a number that does not matter to the program.
fn arguments_decide(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    t.with_probe(&bundle);
    let persona = 0x00ff_0000;
    let calls = [persona - 1, persona, persona + 1].map(|value| format!("{},{value}", libc::SYS_personality));
    for (operator, value_two, refused) in [
        ("SCMP_CMP_EQ", 0, [false, true, false]),
        ("SCMP_CMP_NE", 0, [true, false, true]),
        ("SCMP_CMP_LT", 0, [true, false, false]),
        ("SCMP_CMP_LE", 0, [true, true, false]),
        ("SCMP_CMP_GE", 0, [false, true, true]),
        ("SCMP_CMP_GT", 0, [false, false, true]),
        // The mask, followed by the value that the masked argument must have.
        ("SCMP_CMP_MASKED_EQ", 1, [true, false, true]),
    ] {
        filter(&mut bundle, &["personality"], "SCMP_ACT_ERRNO", Some(NO_SPACE));
        let value = if value_two == 0 { persona } else { 1 };
        let args = json!([{"index": 0, "value": value, "valueTwo": value_two, "op": operator}]);
        bundle.set("/linux/seccomp/syscalls/0/args", args);
        let results = probe(t, &mut bundle, &calls);
        assert_eq!(
            results.iter().map(|result| result == "ENOSPC").collect::<Vec<_>>(),
            refused,
            "{operator}"
        );
    }
}

/// As in runc: a C library falls back to an older call on ENOSYS, and on no other error.
fn call_newer_than_the_profile_is_not_implemented(t: &Test) {
    let output = t.rootling(&["spec", "--security-opt", "seccomp=default", "-o", "-"]).output().ok();
    let profile = output.json()["linux"]["seccomp"].clone();
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO", "{profile}");
    let mut bundle = t.bundle(&["true"]);
    t.with_probe(&bundle);
    bundle.set("/linux/seccomp", profile);
    let calls = [libc::SYS_keyctl, libc::SYS_kexec_load, 800, 100_000, libc::SYS_getpid];
    let results = probe(t, &mut bundle, &calls.map(|number| number.to_string()));
    assert_eq!(results, ["EPERM", "EPERM", "ENOSYS", "ENOSYS", "1"]);
}

fn filter_holds_with_and_without_no_new_privileges(t: &Test) {
    let mut bundle =
        t.shell("grep -E '^(NoNewPrivs|Seccomp|Seccomp_filters):' /proc/self/status; mkdir /tmp/new");
    filter(&mut bundle, &MKDIR, "SCMP_ACT_ERRNO", Some(NO_SPACE));
    let sets = [bundle.config["process"]["capabilities"].clone(), json!({})];
    for (value, shown) in [(true, 1), (false, 0)] {
        for capabilities in &sets {
            bundle.set("/process/noNewPrivileges", value.into());
            bundle.set("/process/capabilities", capabilities.clone());
            let output = t.run(bundle.write()).code(1);
            let expected = format!("NoNewPrivs:\t{shown}\nSeccomp:\t2\nSeccomp_filters:\t1\n");
            assert_eq!(output.stdout, expected, "{capabilities}");
            assert!(output.stderr.contains("No space left on device"), "{output}");
        }
    }
}

/// SCMP_ACT_KILL_THREAD spares the other threads of a process, but none of a launch may stay because of that.
fn filter_that_ends_a_thread_of_the_launch_ends_the_launch(t: &Test) {
    let agent = Socket::listen(t, "agent");
    for (call, with_agent) in [("capset", false), ("capset", true), ("nanosleep", true), ("execve", true)] {
        let mut bundle = t.bundle(&["true"]);
        filter(&mut bundle, &[call], "SCMP_ACT_KILL_THREAD", None);
        bundle.set("/process/noNewPrivileges", false.into());
        if with_agent {
            bundle.set("/linux/seccomp/syscalls/-", json!({"names": MKDIR, "action": "SCMP_ACT_NOTIFY"}));
            bundle.set("/linux/seccomp/listenerPath", agent.path().to_string_lossy().as_ref().into());
        }
        bundle.write();
        let run = t.run(&bundle);
        assert_ne!(run.exit(), 0, "{call}: {run}");
        let created = t.create(&bundle, "c");
        // If it has got as far as its wait, it ends afterwards.
        assert_eq!(created.exit() == 0, call != "capset", "{call}: {created}");
        if created.exit() == 0 {
            t.rootling(&["start", &t.id("c")]).output().ok();
            eventually("the container has stopped", || t.status("c") == "stopped");
            t.delete_force("c").ok();
        }
    }
}

/// As little as possible comes after the filter; before it the runtime may do what the program may not.
fn filter_may_refuse_what_the_runtime_uses(t: &Test) {
    let mut bundle = t.shell("echo works");
    let names = [
        "setuid",
        "setresuid",
        "setgid",
        "setresgid",
        "setgroups",
        "chdir",
        "fchdir",
        "mount",
        "umount2",
        "pivot_root",
        "unshare",
        "setns",
        "mount_setattr",
        "move_mount",
        "sethostname",
        "umask",
        "setrlimit",
        "keyctl",
        "mknod",
        "mknodat",
        "chroot",
        "bind",
        "connect",
        "socket",
    ];
    filter(&mut bundle, &names, "SCMP_ACT_KILL_PROCESS", None);
    assert_eq!(t.run(bundle.write()).ok().stdout, "works\n");
}

/// A shell needs these, and other programs need not: for them, nothing is put right after the filter.
fn filter_may_refuse_what_is_about_signals(t: &Test) {
    let mut bundle = t.bundle(&["echo", "works"]);
    filter(&mut bundle, &["rt_sigaction", "rt_sigprocmask"], "SCMP_ACT_KILL_PROCESS", None);
    assert_eq!(t.run(bundle.write()).ok().stdout, "works\n");

    let created = t.create(bundle.write(), "c").ok();
    t.start("c").ok();
    eventually("the program has ended", || t.status("c") == "stopped");
    assert_eq!(created.read_again().stdout, "works\n");
    t.delete_force("c").ok();

    bundle.set("/process/args", json!(["sleep", "1000000"]));
    t.run_detached(bundle.write(), "c").ok();
    assert_eq!(t.exec::<&str>(&[], "c", &["echo", "works"]).output().ok().stdout, "works\n");
    t.delete_force("c").ok();
}

fn flags_reach_the_kernel(t: &Test) {
    // SECCOMP_FILTER_FLAG_* in linux/seccomp.h. Without the field the flags are as in runc.
    let mut bundle = t.bundle(&["grep", "-c", "Seccomp:.2", "/proc/self/status"]);
    filter(&mut bundle, &MKDIR, "SCMP_ACT_ERRNO", None);
    for (flags, number) in [
        (None, 4),
        (Some(json!([])), 0),
        (Some(json!(["SECCOMP_FILTER_FLAG_LOG"])), 2),
        (Some(json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW"])), 4),
        // There is only one thread.
        (Some(json!(["SECCOMP_FILTER_FLAG_TSYNC"])), 0),
        (
            Some(json!([
                "SECCOMP_FILTER_FLAG_TSYNC",
                "SECCOMP_FILTER_FLAG_LOG",
                "SECCOMP_FILTER_FLAG_SPEC_ALLOW"
            ])),
            6,
        ),
    ] {
        if let Some(flags) = &flags {
            bundle.set("/linux/seccomp/flags", flags.clone());
        }
        let run = t.rootling(&["--debug", "run", "-b"]).arg(bundle.write().dir()).arg(t.id("c"));
        let output = run.output().ok();
        assert_eq!(output.stdout, "1\n", "{flags:?}");
        let said = format!("\"seccomp filter flags: {number}\"");
        assert!(output.stderr.lines().any(|line| line.contains(&said)), "{flags:?}: no {said:?}: {output}");
    }
}

fn empty_profile_is_none(t: &Test) {
    let mut bundle = t.bundle(&["grep", "Seccomp:", "/proc/self/status"]);
    for profile in [json!({}), json!({"defaultAction": "", "syscalls": []}), Value::Null] {
        bundle.set("/linux/seccomp", profile.clone());
        assert_eq!(t.run(bundle.write()).ok().stdout, "Seccomp:\t0\n", "{profile}");
    }
}

/// libseccomp 2.5.4 never terminates for these two rules, with runc as well.
fn profile_that_libseccomp_does_not_come_to_an_end_with_is_an_error(t: &Test) {
    let condition = |index: u32, op: &str, value: u64| json!({"index": index, "op": op, "value": value});
    let rule = |args: [Value; 2]| json!({"names": ["write"], "action": "SCMP_ACT_ERRNO", "args": args});
    let rules = [
        rule([condition(0, "SCMP_CMP_LT", 2), condition(1, "SCMP_CMP_LT", 1)]),
        rule([condition(1, "SCMP_CMP_EQ", 3), condition(0, "SCMP_CMP_LT", 2)]),
    ];
    let mut bundle = t.bundle(&["true"]);
    bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}));
    let output = t.run(bundle.write());
    // A later release may finish them.
    if output.exit() != 0 {
        output.fails_with(&[
            "linux.seccomp: libseccomp has not compiled the profile within 20 s",
            "simpler conditions",
        ]);
    }
}

fn wrong_profile_is_one_line_that_names_the_field(t: &Test) {
    let rule = |key: &str, value: Value| {
        let mut rule = json!({"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"});
        rule[key] = value;
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})
    };
    let with = |key: &str, value: Value| {
        let mut profile = rule("names", json!(["mkdir"]));
        profile[key] = value;
        profile
    };
    let one = |n: u64| json!({"index": 0, "value": (n << 32) | n, "op": "SCMP_CMP_EQ"});
    let many = (0..1500).map(|n| json!({"names": ["mkdirat"], "action": "SCMP_ACT_ERRNO", "args": [one(n)]}));
    let many = many.collect();
    for (profile, parts) in [
        (with("defaultAction", json!("SCMP_ACT_MAYBE")), ["linux.seccomp.defaultAction", "SCMP_ACT_MAYBE"]),
        (with("defaultAction", json!("SCMP_ACT_NOTIFY")), ["linux.seccomp", "as default action"]),
        (
            with("architectures", json!(["SCMP_ARCH_Z80"])),
            ["linux.seccomp.architectures[0]", "SCMP_ARCH_Z80"],
        ),
        (
            with("flags", json!(["SECCOMP_FILTER_FLAG_X"])),
            ["linux.seccomp.flags[0]", "SECCOMP_FILTER_FLAG_X"],
        ),
        (rule("action", json!("ERRNO")), ["linux.seccomp.syscalls[0].action", "ERRNO"]),
        (rule("names", json!([""])), ["linux.seccomp.syscalls[0].names", "empty"]),
        (rule("names", json!([])), ["linux.seccomp.syscalls[0].names", "is empty"]),
        (rule("names", Value::Null), ["linux.seccomp.syscalls[0].names", "is empty"]),
        (rule("name", json!("mkdir")), ["linux.seccomp.syscalls[0].name:", "\"names\""]),
        (
            rule("args", json!([{"index": 0, "value": 0, "op": "=="}])),
            ["linux.seccomp.syscalls[0].args[0].op", "=="],
        ),
        (
            rule("args", json!([{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}])),
            ["linux.seccomp.syscalls[0].args", "arguments 0 to 5"],
        ),
        (rule("action", json!("SCMP_ACT_NOTIFY")), ["linux.seccomp.listenerPath", "set it"]),
        // Errors that are detected only when the profile is compiled.
        (with("syscalls", Value::Array(many)), ["linux.seccomp", "takes at most 4096"]),
    ] {
        let mut bundle = t.bundle(&["true"]);
        bundle.set("/linux/seccomp", profile);
        t.run(bundle.write()).fails_with(&parts);
    }
}

/// A bundle whose sethostname(2) and mkdir(2) are decided by the agent.
fn notifying(t: &Test, bundle: &mut Bundle, socket: &str) -> PathBuf {
    filter(bundle, &MKDIR, "SCMP_ACT_NOTIFY", None);
    let path = t.path(socket);
    bundle.set("/linux/seccomp/listenerPath", path.to_string_lossy().as_ref().into());
    bundle.set("/linux/seccomp/listenerMetadata", "of the profile".into());
    bundle.set("/annotations", json!({"org.example.key": "value"}));
    path
}

/// config-linux.md, "The Container Process State".
fn agent_gets_the_listener_and_the_state(t: &Test) {
    let mut bundle = t.bundle(&["sleep", "1000"]);
    notifying(t, &mut bundle, "agent");
    for no_new_privileges in [true, false] {
        bundle.set("/process/noNewPrivileges", no_new_privileges.into());
        let agent = Socket::listen(t, "agent");
        t.create(bundle.write(), "c").ok();
        let (listener, text) = agent.receive_with_text();
        let link = fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&listener)));
        assert_eq!(link.expect("the descriptor").to_string_lossy(), "anon_inode:seccomp notify");
        let state: Value = serde_json::from_str(&text).expect("the state is JSON");
        let pid = t.state("c")["pid"].clone();
        let version = bundle.config["ociVersion"].clone();
        let expected = json!({
            "ociVersion": version,
            "fds": ["seccompFd"],
            "pid": pid,
            "metadata": "of the profile",
            "state": {
                "ociVersion": version,
                "id": t.id("c"),
                "status": "creating",
                "pid": pid,
                "bundle": bundle.dir(),
                "annotations": {"org.example.key": "value"}
            }
        });
        assert_eq!(state, expected);
        t.delete_force("c").ok();
        fs::remove_file(agent.path()).expect("remove the socket");
    }
}

fn agent_answers_for_the_kernel(t: &Test) {
    let mut bundle = t.shell("mkdir /tmp/new; test ! -e /tmp/new");
    notifying(t, &mut bundle, "agent");
    let agent = Socket::listen(t, "agent");
    for flags in [json!([]), json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"])] {
        bundle.set("/linux/seccomp/flags", flags.clone());
        let running = t.run_command(bundle.write()).spawn();
        let listener = agent.receive();
        let call = sys::refuse_notified_call(&listener, libc::EXDEV).expect("a call to answer");
        assert!(MAKE_DIRECTORY.contains(&i64::from(call)), "{call}");
        let output = running.output().ok();
        assert!(output.stderr.to_lowercase().contains("cross-device link"), "{flags}: {output}");
    }
}

fn agent_that_is_not_there_fails_run_and_create(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    let path = notifying(t, &mut bundle, "nobody");
    let words = ["linux.seccomp.listenerPath", &path.to_string_lossy()];
    t.run(bundle.write()).fails_with(&words);
    t.create(&bundle, "c").fails_with(&words);
}

fn agent_answers_for_a_program_that_joins(t: &Test) {
    let mut bundle = t.bundle(&["sleep", "1000"]);
    notifying(t, &mut bundle, "agent");
    let agent = Socket::listen(t, "agent");
    t.run_detached(bundle.write(), "c").ok();
    let _inits = agent.receive();
    let pid_file = t.path("pid");
    let flags = ["--pid-file", &pid_file.to_string_lossy()];
    let running = t.exec(&flags, "c", &["sh", "-c", "mkdir /tmp/new; test ! -e /tmp/new"]).spawn();
    let (listener, text) = agent.receive_with_text();
    let call = sys::refuse_notified_call(&listener, libc::EXDEV).expect("a call to answer");
    assert!(MAKE_DIRECTORY.contains(&i64::from(call)), "{call}");
    let output = running.output().ok();
    assert!(output.stderr.to_lowercase().contains("cross-device link"), "{output}");

    let state: Value = serde_json::from_str(&text).expect("the state is JSON");
    let program: i64 = fs::read_to_string(&pid_file).expect("the pid file").parse().expect("a pid");
    assert_eq!(state["pid"], program, "{state}");
    assert_eq!(state["state"]["pid"], t.state("c")["pid"], "{state}");
    assert_eq!(
        (&state["state"]["status"], &state["metadata"]),
        (&json!("running"), &json!("of the profile"))
    );
    t.delete_force("c").ok();
}

/// Runs the bundle with a cache of the test's own; mkdir in it is refused with `text`.
fn refused(t: &Test, bundle: &Bundle, text: &str) {
    let output = cached(t, bundle, "c").code(1);
    assert!(output.stderr.contains(text), "{output}");
}

fn cached(t: &Test, bundle: &Bundle, name: &str) -> Output {
    let run = t.rootling(&["run", "-b"]).arg(bundle.dir()).arg(t.id(name));
    run.env("XDG_CACHE_HOME", t.path("cache")).output()
}

/// A bundle that tries mkdir, and an empty cache.
fn with_cache(t: &Test) -> Bundle {
    let mut bundle = t.shell("mkdir /tmp/new");
    filter(&mut bundle, &MKDIR, "SCMP_ACT_ERRNO", Some(NO_SPACE));
    bundle.write();
    fs::create_dir(t.path("cache")).expect("make the cache's directory");
    chown(t.path("cache"), Some(t.account().uid), Some(t.account().gid)).expect("chown");
    bundle
}

/// The entries in the directory of the cache.
fn entries(t: &Test) -> Vec<PathBuf> {
    let dir = fs::read_dir(t.path("cache/rootling/seccomp")).expect("the cache");
    dir.map(|entry| entry.expect("entry of the cache").path()).collect()
}

fn only_entry(t: &Test) -> PathBuf {
    let entries = entries(t);
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries.into_iter().next().expect("one entry")
}

fn cache_is_its_owners_and_damage_is_repaired(t: &Test) {
    let bundle = with_cache(t);
    refused(t, &bundle, "No space left");
    let entry = only_entry(t);
    for path in [&entry, entry.parent().expect("a directory")] as [&std::path::Path; 2] {
        let facts = fs::metadata(path).expect("stat in the cache");
        assert_eq!((facts.mode() & 0o077, facts.uid()), (0, t.account().uid), "{}", path.display());
    }
    let whole = fs::read(&entry).expect("read the entry");
    let mut changed = whole.clone();
    *changed.last_mut().expect("a byte") ^= 1;
    for damage in [&whole[..whole.len() / 2], b"", b"garbage of any kind", &changed] {
        fs::write(&entry, damage).expect("damage the entry");
        refused(t, &bundle, "No space left");
        assert_eq!(fs::read(&entry).expect("read the entry"), whole);
    }
}

fn cache_is_not_believed_where_others_may_write(t: &Test) {
    let bundle = with_cache(t);
    refused(t, &bundle, "No space left");
    let entry = only_entry(t);
    // The filter of another profile, as somebody else might put it there.
    let mut other = t.shell("mkdir /tmp/new");
    filter(&mut other, &MKDIR, "SCMP_ACT_ERRNO", Some(1));
    refused(t, other.write(), "Operation not permitted");
    let foreign = entries(t).into_iter().find(|path| *path != entry).expect("a second entry");
    let foreign = fs::read(foreign).expect("read the other entry");
    fs::write(&entry, &foreign).expect("replace the entry");
    refused(t, &bundle, "No space left");
    // Even a correct entry is rewritten if others may have written to it.
    fs::set_permissions(&entry, fs::Permissions::from_mode(0o666)).expect("chmod of the entry");
    refused(t, &bundle, "No space left");
    assert_eq!(fs::metadata(&entry).expect("stat of the entry").mode() & 0o077, 0);
    // A directory to which others may write is not used at all.
    let dir = entry.parent().expect("a directory");
    fs::set_permissions(dir, fs::Permissions::from_mode(0o777)).expect("chmod of the directory");
    fs::remove_file(&entry).expect("remove the entry");
    refused(t, &bundle, "No space left");
    assert!(!entry.exists());
}

fn cache_tells_profiles_apart(t: &Test) {
    let mut bundle = with_cache(t);
    let profiles = [
        (Some(NO_SPACE), "No space left"),
        (Some(1), "Operation not permitted"),
        (Some(13), "Permission denied"),
    ];
    for _ in 0..2 {
        for (errno, text) in profiles {
            filter(&mut bundle, &MKDIR, "SCMP_ACT_ERRNO", errno);
            refused(t, bundle.write(), text);
        }
    }
    assert_eq!(entries(t).len(), profiles.len());
}

fn writers_of_one_entry_do_not_disturb_each_other(t: &Test) {
    let bundle = with_cache(t);
    std::thread::scope(|scope| {
        for number in 0..12 {
            let bundle = &bundle;
            scope.spawn(move || {
                let output = cached(t, bundle, &format!("c{number}")).code(1);
                assert!(output.stderr.contains("No space left"), "{output}");
            });
        }
    });
    only_entry(t);
    refused(t, &bundle, "No space left");
}
