//! `process`: what the program is started with, as it sees it itself.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rootling_tests::{Bundle, Test, Who, both, eventually, root, skip, user};
use serde_json::{Value, json};

both!(
    names_in_another_case_are_read,
    half_of_a_surrogate_pair_is_read,
    user_umask_and_groups_are_the_configured_ones,
    umask_is_022_where_none_is_given,
    other_user_has_the_ambient_capabilities_alone,
    ambient_capability_outside_the_inheritable_is_a_warning,
    unknown_capability_is_a_warning,
    limits_are_set_for_any_user,
    oom_score_is_set,
    oom_score_that_takes_a_right_is_the_callers,
    oom_score_stays_the_callers_where_none_is_given,
    new_privileges_are_refused_only_where_asked,
    home_is_of_the_images_passwd,
    missing_working_directory_is_made_for_any_user,
    working_directory_may_be_the_users_alone,
    session_keyring_is_new_unless_told_otherwise,
    session_keyring_is_that_of_exec_as_well,
    labels_without_their_module_are_an_error,
    wrong_process_is_one_line_that_names_the_field,
);
user!(
    group_that_is_not_mapped_is_an_error,
    limit_above_the_callers_is_an_error,
    set_user_id_programs_stay_within_the_map,
);
root!(limit_above_the_callers_is_raised);

/// A bundle whose process has the ids 5:7 and the groups 9 and 11.
fn as_other(t: &Test, script: &str) -> Option<Bundle> {
    let mut bundle = t.shell(script);
    bundle.many_ids().then(|| {
        bundle.set("/process/user", json!({"uid": 5, "gid": 7, "additionalGids": [9, 11]}));
        bundle
    })
}

fn user_umask_and_groups_are_the_configured_ones(t: &Test) {
    let script = "id -u; id -g; id -G; umask; touch /tmp/file; stat -c '%u %g %a' /tmp/file; grep Groups /proc/self/status";
    let Some(mut bundle) = as_other(t, script) else { return };
    bundle.set("/process/user/umask", 0o037.into());
    let output = t.run(bundle.write()).ok();
    assert_eq!(output.stdout, "5\n7\n7 9 11\n0037\n5 7 640\nGroups:\t9 11 \n");
    // From outside, the file belongs to the id to which 5 is mapped.
    let owner = fs::metadata(bundle.rootfs("tmp/file")).expect("the file that the container made").uid();
    assert_eq!(owner == 5, t.who() == Who::Root, "{owner}");
}

fn umask_is_022_where_none_is_given(t: &Test) {
    let bundle = t.shell("umask; grep Umask /proc/1/status");
    let run = t.run_command(bundle.write()).under(&["sh", "-c", r#"umask 077; exec "$0" "$@""#]);
    assert_eq!(run.output().ok().stdout, "0022\nUmask:\t0022\n");
}

/// The sets as they are in the program's status.
fn sets(output: &str) -> Vec<(String, u64)> {
    let lines = output.lines().filter_map(|line| line.strip_prefix("Cap")?.split_once(":\t"));
    lines.map(|(name, set)| (name.to_owned(), u64::from_str_radix(set, 16).expect("a set"))).collect()
}

fn other_user_has_the_ambient_capabilities_alone(t: &Test) {
    let Some(mut bundle) = as_other(t, "grep Cap /proc/self/status") else { return };
    // capabilities(7): CAP_KILL is 5, CAP_NET_BIND_SERVICE 10, CAP_NET_RAW 13.
    let (kill, bind, raw) = ("CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW");
    let capabilities = json!({
        "bounding": [kill, bind, raw],
        "permitted": [kill, bind],
        "effective": [kill],
        "inheritable": [kill, bind],
        "ambient": [bind]
    });
    bundle.set("/process/capabilities", capabilities);
    let (inheritable, bounding, ambient) = (1 << 5 | 1 << 10, 1 << 5 | 1 << 10 | 1 << 13, 1 << 10);
    let expected =
        [("Inh", inheritable), ("Prm", ambient), ("Eff", ambient), ("Bnd", bounding), ("Amb", ambient)];
    let found = sets(&t.run(bundle.write()).ok().stdout);
    assert_eq!(found, expected.map(|(name, set)| (name.to_owned(), set)));
}

fn ambient_capability_outside_the_inheritable_is_a_warning(t: &Test) {
    let mut bundle = t.bundle(&["grep", "CapAmb", "/proc/self/status"]);
    let (kill, both) = (json!(["CAP_KILL"]), json!(["CAP_KILL", "CAP_NET_BIND_SERVICE"]));
    let capabilities =
        json!({"bounding": both, "permitted": both, "effective": both, "inheritable": kill, "ambient": both});
    bundle.set("/process/capabilities", capabilities);
    let output = t.run(bundle.write()).ok();
    assert_eq!(sets(&output.stdout), [("Amb".to_owned(), 1 << 5)]);
    assert!(output.stderr.contains("can't raise ambient capability CAP_NET_BIND_SERVICE"), "{output}");
}

fn unknown_capability_is_a_warning(t: &Test) {
    let mut bundle = t.bundle(&["grep", "CapPrm", "/proc/self/status"]);
    let some = json!(["CAP_FROM_THE_FUTURE", "CAP_KILL"]);
    bundle.set("/process/capabilities", json!({"bounding": some, "permitted": some}));
    let output = t.run(bundle.write()).ok();
    assert_eq!(sets(&output.stdout), [("Prm".to_owned(), 1 << 5)]);
    assert!(output.stderr.contains("CAP_FROM_THE_FUTURE"), "{output}");
}

/// The name in the specification, the beginning of its line in proc_pid_limits(5), the soft and the hard limit.
const LIMITS: [(&str, &str, u64, u64); 16] = [
    ("RLIMIT_CPU", "Max cpu time", 1000, 2000),
    ("RLIMIT_FSIZE", "Max file size", 1 << 20, 2 << 20),
    ("RLIMIT_DATA", "Max data size", 1 << 30, 1 << 31),
    ("RLIMIT_STACK", "Max stack size", 4 << 20, 8 << 20),
    ("RLIMIT_CORE", "Max core file size", 0, 4096),
    ("RLIMIT_RSS", "Max resident set", 1 << 30, 1 << 31),
    ("RLIMIT_NPROC", "Max processes", 4000, 5000),
    ("RLIMIT_NOFILE", "Max open files", 77, 88),
    ("RLIMIT_MEMLOCK", "Max locked memory", 4096, 65536),
    ("RLIMIT_AS", "Max address space", 1 << 32, 1 << 33),
    ("RLIMIT_LOCKS", "Max file locks", 10, 20),
    ("RLIMIT_SIGPENDING", "Max pending signals", 100, 200),
    ("RLIMIT_MSGQUEUE", "Max msgqueue size", 1000, 2000),
    ("RLIMIT_NICE", "Max nice priority", 0, 0),
    ("RLIMIT_RTPRIO", "Max realtime priority", 0, 0),
    ("RLIMIT_RTTIME", "Max realtime timeout", 1000, 2000),
];

fn limits_are_set_for_any_user(t: &Test) {
    let mut bundle = t.bundle(&["cat", "/proc/self/limits"]);
    let limits = LIMITS.map(|(name, _, soft, hard)| json!({"type": name, "soft": soft, "hard": hard}));
    bundle.set("/process/rlimits", limits.to_vec().into());
    let mut bundles = vec![bundle.clone()];
    if bundle.many_ids() {
        bundle.set("/process/user", json!({"uid": 5, "gid": 7}));
        bundles.push(bundle);
    }
    for bundle in bundles {
        let output = t.run(bundle.write()).ok();
        for (name, shown, soft, hard) in LIMITS {
            let line = output.stdout.lines().find(|line| line.starts_with(shown)).expect(shown);
            let numbers: Vec<_> =
                line[shown.len()..].split_whitespace().filter(|w| w.parse::<u64>().is_ok()).collect();
            assert_eq!(numbers, [soft.to_string(), hard.to_string()], "{name}: {line}");
        }
    }
}

/// Runs the bundle with a limit of 64 open files.
const FEW_FILES: [&str; 4] = ["prlimit", "--nofile=64:64", "--", "env"];

fn limit_above_the_callers_is_an_error(t: &Test) {
    let bundle = t.bundle(&["true"]);
    let output = t.run_command(bundle.write()).under(&FEW_FILES).output();
    output.fails_with(&["process.rlimits", "1024", "CAP_SYS_RESOURCE"]);
}

fn limit_above_the_callers_is_raised(t: &Test) {
    const CAP_SYS_RESOURCE: u64 = 1 << 24;
    let status = fs::read_to_string("/proc/self/status").expect("our status");
    if sets(&status).iter().any(|(name, set)| name == "Eff" && set & CAP_SYS_RESOURCE == 0) {
        return skip("root has no CAP_SYS_RESOURCE here");
    }
    let mut bundle = t.shell("ulimit -Sn; ulimit -Hn");
    for mapped in [false, true] {
        if mapped {
            // Root of the container's user namespace may not do it, so the runtime has to.
            bundle.mapped();
        }
        let output = t.run_command(bundle.write()).under(&FEW_FILES).output().ok();
        assert_eq!(output.stdout, "1024\n1024\n", "mapped: {mapped}");
    }
}

fn oom_score_is_set(t: &Test) {
    let own = fs::read_to_string("/proc/self/oom_score_adj").expect("our score");
    let own: i32 = own.trim().parse().expect("a number");
    let mut bundle = t.bundle(&["cat", "/proc/self/oom_score_adj"]);
    for score in [1000, own] {
        bundle.set("/process/oomScoreAdj", score.into());
        assert_eq!(t.run(bundle.write()).ok().stdout, format!("{score}\n"));
    }
}

/// Engines set a score for every container.
fn oom_score_that_takes_a_right_is_the_callers(t: &Test) {
    let own = fs::read_to_string("/proc/self/oom_score_adj").expect("our score");
    let mut bundle = t.bundle(&["cat", "/proc/self/oom_score_adj"]);
    bundle.set("/process/oomScoreAdj", (-500).into());
    let without = ["setpriv", "--bounding-set", "-sys_resource"];
    let run = t.run_command(bundle.write());
    let run = if t.who() == Who::Root { run.under(&without) } else { run };
    let output = run.output().ok();
    assert_eq!(output.stdout, own, "{output}");
    assert!(output.stderr.contains("warning: process.oomScoreAdj: "), "{output}");
}

fn oom_score_stays_the_callers_where_none_is_given(t: &Test) {
    let bundle = t.bundle(&["cat", "/proc/self/oom_score_adj"]);
    let run = t.run_command(bundle.write()).under(&["choom", "-n", "678", "--"]);
    assert_eq!(run.output().ok().stdout, "678\n");
}

/// Makes the probe set-user-id to the container's root; busybox drops the privilege again.
fn set_user_id(t: &Test, bundle: &Bundle) {
    t.with_probe(bundle);
    fs::set_permissions(bundle.rootfs("bin/probe"), fs::Permissions::from_mode(0o4755)).expect("chmod");
}

fn new_privileges_are_refused_only_where_asked(t: &Test) {
    let Some(mut bundle) = as_other(t, "") else { return };
    set_user_id(t, &bundle);
    let calls = [libc::SYS_getuid, libc::SYS_geteuid].map(|number| number.to_string());
    bundle.set("/process/args", json!(["probe", "call", calls[0], calls[1]]));
    for (value, effective) in [(Some(true), "5"), (Some(false), "0"), (None, "0")] {
        bundle.remove("/process/noNewPrivileges");
        if let Some(value) = value {
            bundle.set("/process/noNewPrivileges", value.into());
        }
        let output = t.run(bundle.write()).ok();
        assert_eq!(output.stdout, format!("5\n{effective}\n"), "{value:?}");
    }
}

/// The container's root is the caller outside, and nobody more.
fn set_user_id_programs_stay_within_the_map(t: &Test) {
    let Some(mut bundle) = as_other(t, "") else { return };
    set_user_id(t, &bundle);
    bundle.set("/process/args", json!(["probe", "make", "/tmp/made"]));
    bundle.set("/process/noNewPrivileges", false.into());
    t.run(bundle.write()).ok();
    assert_eq!(fs::metadata(bundle.rootfs("tmp/made")).expect("the file made").uid(), t.account().uid);
}

fn home_is_of_the_images_passwd(t: &Test) {
    let mut bundle = t.shell("echo $HOME; cat /proc/1/environ | tr '\\0' '\\n' | grep -c ^HOME=");
    if !bundle.many_ids() {
        return;
    }
    let passwd = "root:x:0:0:root:/of/root:/bin/sh\nbroken\nfive:x:5:7::/of/five:\nempty:x:6:6:::\n";
    fs::write(bundle.rootfs("etc/passwd"), passwd).expect("write the image's passwd");
    let env = bundle.config["process"]["env"].clone();
    for (uid, given, home) in [
        (0, None, "/of/root"),
        (5, None, "/of/five"),
        (5, Some("HOME="), "/of/five"),
        (5, Some("HOME=/given"), "/given"),
        (6, None, "/"),
        (1234, None, "/"),
    ] {
        bundle.set("/process/user", json!({"uid": uid, "gid": 7})).set("/process/env", env.clone());
        if let Some(given) = given {
            bundle.set("/process/env/-", given.into());
        }
        assert_eq!(t.run(bundle.write()).ok().stdout, format!("{home}\n1\n"), "{uid} {given:?}");
    }
    fs::remove_file(bundle.rootfs("etc/passwd")).expect("remove the image's passwd");
    bundle.set("/process/env", env);
    assert_eq!(t.run(bundle.write()).ok().stdout, "/\n1\n");
}

fn missing_working_directory_is_made_for_any_user(t: &Test) {
    let Some(mut bundle) = as_other(t, "pwd; stat -c '%a %u:%g' . ..") else { return };
    bundle.set("/process/cwd", "/made/for/it".into());
    for _ in 0..2 {
        assert_eq!(t.run(bundle.write()).ok().stdout, "/made/for/it\n755 0:0\n755 0:0\n");
    }
}

/// It is inaccessible to root of a user namespace, or to the user: it is enough if one of the two may enter.
fn working_directory_may_be_the_users_alone(t: &Test) {
    let Some(mut bundle) = as_other(t, "pwd") else { return };
    for owner in ["0:0", "5:7"] {
        let mut prepare = bundle.clone();
        let script = format!("mkdir -p /private && chown {owner} /private && chmod 700 /private");
        let all = json!(["CAP_CHOWN", "CAP_FOWNER", "CAP_DAC_OVERRIDE"]);
        prepare
            .set("/process/args", json!(["sh", "-c", script]))
            .set("/process/user", json!({"uid": 0, "gid": 0}));
        prepare.set("/process/capabilities", json!({"bounding": all, "permitted": all, "effective": all}));
        t.run(prepare.write()).ok();
        bundle.set("/process/cwd", "/private".into());
        let output = t.run(bundle.write());
        assert_eq!((output.exit(), output.text()), (0, "/private"), "{owner}: {output}");
    }
}

fn session_keyring_is_new_unless_told_otherwise(t: &Test) {
    if !fs::exists("/proc/keys").unwrap_or(false) {
        return skip("this kernel has no keyrings");
    }
    let bundle = t.bundle(&["probe", "keyring"]);
    t.with_probe(&bundle);
    bundle.write();
    // Type, uid, gid, permissions, name. The possessor has all permissions, and the owner may find it.
    let own = t.run(&bundle).ok();
    let fields: Vec<_> = own.text().split(';').collect();
    let name = format!("_ses.{}", t.id("c"));
    assert_eq!((fields[0], fields[3], fields[4]), ("keyring", "3f090000", name.as_str()), "{own}");
    let kept = t.run_command(&bundle).args(&["--no-new-keyring"]).output().ok();
    assert!(!kept.text().contains(&name), "{kept}");
}

/// Its serial number (`KEYCTL_GET_KEYRING_ID` in keyctl(2)) from inside, for any user.
fn session_keyring_is_that_of_exec_as_well(t: &Test) {
    let Some(mut bundle) = as_other(t, "") else { return };
    t.with_probe(&bundle);
    let call = format!("{},0,-3,0", libc::SYS_keyctl);
    bundle.set("/process/args", json!(["sh", "-c", format!("probe call {call}; exec sleep 1000")]));
    let mut running = t.run_command(bundle.write()).spawn();
    let mut serial = String::new();
    eventually("the serial number is printed", || {
        serial = running.so_far().0;
        serial.ends_with('\n')
    });
    assert!(serial.trim().parse::<i32>().is_ok(), "{serial}");
    for user in ["0", "5", "33"] {
        let output = t.exec(&["--user", user], "c", &["probe", "call", &call]).output().ok();
        assert_eq!(output.stdout, serial, "{user}");
    }
    t.delete_force("c").ok();
    running.child.wait().expect("the end of run");
}

/// As by Go's parser, on which some authors of a config.json rely.
fn names_in_another_case_are_read(t: &Test) {
    let mut bundle = t.shell("echo $A; umask");
    bundle.set("/process/Env", json!(["A=of another case", "PATH=/bin"])).remove("/process/env");
    bundle.set("/process/User", json!({"UMASK": 0o27}));
    assert_eq!(t.run(bundle.write()).ok().stdout, "of another case\n0027\n");
}

/// Half a surrogate pair is not a character: it is replaced by the replacement character, as by Go's parser.
fn half_of_a_surrogate_pair_is_read(t: &Test) {
    let mut bundle = t.shell("echo $A");
    bundle.set("/process/env", json!(["A=before HALF after", "PATH=/bin"])).write();
    let config = bundle.dir().join("config.json");
    let text = fs::read_to_string(&config).expect("read config.json");
    fs::write(&config, text.replace("HALF", "\\ud83d")).expect("write config.json");
    assert_eq!(t.run(&bundle).ok().stdout, "before \u{fffd} after\n");
}

fn labels_without_their_module_are_an_error(t: &Test) {
    for (field, value, module, words) in [
        ("apparmorProfile", "some-profile", "/sys/kernel/security/apparmor", "apparmor"),
        ("selinuxLabel", "system_u:system_r:svirt_t:s0", "/sys/fs/selinux/enforce", "selinux"),
    ] {
        if fs::exists(module).unwrap_or(false) {
            skip(&format!("{module} is there"));
            continue;
        }
        let mut bundle = t.bundle(&["true"]);
        bundle.set(&format!("/process/{field}"), value.into());
        let output = t.run(bundle.write());
        output.fails_with(&[&format!("process.{field}"), value]);
        assert!(
            output.stderr.to_lowercase().contains(words) && output.stderr.contains("remove it"),
            "{output}"
        );
        // An empty label means none.
        bundle.set(&format!("/process/{field}"), "".into());
        t.run(bundle.write()).ok();
    }
    if !fs::exists("/sys/fs/selinux/enforce").unwrap_or(false) {
        let mut bundle = t.bundle(&["true"]);
        bundle.set("/linux/mountLabel", "system_u:object_r:x:s0".into());
        t.run(bundle.write()).fails_with(&["linux.mountLabel", "system_u:object_r:x:s0", "remove it"]);
        bundle.set("/linux/mountLabel", "".into());
        t.run(bundle.write()).ok();
    }
}

fn group_that_is_not_mapped_is_an_error(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    for (field, value) in [("additionalGids", json!([9])), ("gid", json!(9)), ("uid", json!(9))] {
        bundle.set("/process/user", json!({"uid": 0, "gid": 0}));
        bundle.set(&format!("/process/user/{field}"), value);
        t.run(bundle.write()).fails_with(&["9", &format!("process.user.{field}")]);
    }
}

fn wrong_process_is_one_line_that_names_the_field(t: &Test) {
    let limit = |soft: u64, hard: u64| json!([{"type": "RLIMIT_NOFILE", "soft": soft, "hard": hard}]);
    let cases: [(&str, Value, &[&str]); 14] = [
        ("args", json!([]), &["process.args", "args must not be empty"]),
        ("cwd", json!("relative"), &["process.cwd", "Cwd must be an absolute path"]),
        ("env", json!(["NOVALUE"]), &["process.env[0]", "NOVALUE"]),
        ("env", json!(["=empty"]), &["process.env[0]"]),
        ("rlimits", limit(9, 8), &["process.rlimits", "RLIMIT_NOFILE", "soft limit 9"]),
        ("rlimits", json!([limit(1, 1)[0], limit(2, 2)[0]]), &["process.rlimits", "RLIMIT_NOFILE"]),
        (
            "rlimits",
            json!([{"type": "RLIMIT_NONE", "soft": 1, "hard": 1}]),
            &["process.rlimits[0].type", "RLIMIT_NONE"],
        ),
        ("user", json!({"uid": 0, "gid": 0, "umask": 0o1777}), &["process.user.umask", "octal 1777"]),
        ("user", json!({"uid": -1, "gid": 0}), &["process.user.uid", "-1"]),
        ("oomScoreAdj", json!(1001), &["process.oomScoreAdj", "1001"]),
        ("capabilities", json!({"effective": ["CAP_KILL"]}), &["process.capabilities.effective", "CAP_KILL"]),
        ("execCPUAffinity", json!({"initial": "0-"}), &["process.execCPUAffinity.initial"]),
        ("ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 8}), &["process.ioPriority", "8"]),
        ("scheduler", json!({"policy": "SCHED_OTHER", "nice": 20}), &["process.scheduler", "20"]),
    ];
    let bundle = t.bundle(&["true"]);
    for (field, value, parts) in cases {
        let mut bundle = bundle.clone();
        bundle.set(&format!("/process/{field}"), value);
        t.run(bundle.write()).fails_with(parts);
    }
}
