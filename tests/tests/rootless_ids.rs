//! The ids that a container gets, depending on what the host grants its caller.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use rootling_tests::{Bundle, Ids, Output, Test, Variation, root, user};

user!(
    caller_without_ranges_runs_alone_and_is_told_what_to_add,
    ranges_are_packed_behind_the_caller,
    range_with_the_callers_own_id_is_an_error,
    missing_helper_leaves_the_caller_alone,
    helper_without_its_privilege_leaves_the_caller_alone,
    helper_on_a_nosuid_mount_leaves_the_caller_alone,
    other_users_need_ranges,
    used_up_user_namespaces_are_named,
    no_adapt_leaves_the_spec_alone,
    debug_says_what_fails_with_a_single_id,
);
root!(root_maps_the_ranges_of_a_named_owner, default_owner_is_dockremap_or_the_error_says_how_to_make_it);

/// A bundle that prints its maps; no maps are configured.
fn maps_printer(t: &Test) -> Bundle {
    let mut bundle = t.shell("cat /proc/self/uid_map /proc/self/gid_map");
    bundle.ids(Ids::None).write();
    bundle
}

/// The numbers in the output of [`maps_printer`].
fn numbers(output: &Output) -> Vec<u32> {
    output.stdout.split_whitespace().map(|word| word.parse().expect("a number")).collect()
}

fn only_the_caller(t: &Test) -> Vec<u32> {
    vec![0, t.account().uid, 1, 0, t.account().gid, 1]
}

/// The path of newuidmap or newgidmap, where the harness would find it.
fn helper(name: &str) -> PathBuf {
    let dirs = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let found = dirs.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is needed for the tests"))
}

fn caller_without_ranges_runs_alone_and_is_told_what_to_add(t: &Test) {
    let Some(host) = Variation::of(t) else { return };
    let output = host.sub_ids("").run(t.run_command(&maps_printer(t))).output().ok();
    assert_eq!(numbers(&output), only_the_caller(t));
    let line = format!("\"{}:100000:65536\" to /etc/subuid", t.account().name);
    assert!(output.stderr.contains("warning") && output.stderr.contains(&line), "{output}");
}

fn ranges_are_packed_behind_the_caller(t: &Test) {
    let (name, uid, gid) = (t.account().name.as_str(), t.account().uid, t.account().gid);
    for ranges in [
        vec![(700_000, 1000)],
        // Three ranges, unordered, one of them by number.
        vec![(900_000, 3000), (700_000, 1000), (800_000, 2000)],
    ] {
        let Some(host) = Variation::of(t) else { return };
        let mut lines = String::from("somebody:1:5\n");
        let (mut uids, mut gids, mut next) = (vec![0, uid, 1], vec![0, gid, 1], 1);
        for (index, (first, count)) in ranges.into_iter().enumerate() {
            let owner = if index == 1 { uid.to_string() } else { name.to_owned() };
            let _ = writeln!(lines, "{owner}:{first}:{count}");
            uids.extend([next, first, count]);
            gids.extend([next, first, count]);
            next += count;
        }
        let output = host.sub_ids(&lines).run(t.run_command(&maps_printer(t))).output().ok();
        assert_eq!(numbers(&output), [uids, gids].concat(), "{lines}");
        assert_eq!(output.stderr, "", "{lines}");
    }
}

fn range_with_the_callers_own_id_is_an_error(t: &Test) {
    let Some(host) = Variation::of(t) else { return };
    let lines = format!("{}:{}:65536\n", t.account().name, t.account().uid - 1);
    let output = host.sub_ids(&lines).run(t.run_command(&maps_printer(t))).output();
    let own = format!("contains the caller's own uid {}", t.account().uid);
    output.fails_with(&["/etc/subuid", &own, "a range without it", "rootling doctor"]);
}

/// The container runs with only the caller's id, and the warning contains each of `words`.
fn runs_alone(t: &Test, host: Variation<'_>, words: &[&str]) {
    let lines = format!("{}:700000:65536\n", t.account().name);
    let output = host.sub_ids(&lines).run(t.run_command(&maps_printer(t))).output().ok();
    assert_eq!(numbers(&output), only_the_caller(t));
    for word in words {
        assert!(output.stderr.contains(word), "{word}: {output}");
    }
}

fn missing_helper_leaves_the_caller_alone(t: &Test) {
    for name in ["newuidmap", "newgidmap"] {
        let Some(host) = Variation::of(t) else { return };
        let missing = format!("{name} is not installed");
        runs_alone(t, host.hide(&helper(name)), &[&missing, "apt-get install uidmap"]);
    }
}

fn helper_without_its_privilege_leaves_the_caller_alone(t: &Test) {
    for (name, capability) in [("newuidmap", "cap_setuid"), ("newgidmap", "cap_setgid")] {
        let Some(host) = Variation::of(t) else { return };
        let lacks = format!("neither the set-user-id bit nor {capability}");
        runs_alone(t, host.copy(&helper(name), "0755"), &[&lacks, "setcap"]);
    }
}

fn helper_on_a_nosuid_mount_leaves_the_caller_alone(t: &Test) {
    let Some(host) = Variation::of(t) else { return };
    let path = helper("newuidmap");
    let at = path.display();
    let host = host.line(&format!("mount --bind {at} {at} && mount -o remount,bind,nosuid {at}"));
    runs_alone(t, host, &["is on a mount with nosuid"]);
}

fn other_users_need_ranges(t: &Test) {
    let Some(host) = Variation::of(t) else { return };
    let mut bundle = maps_printer(t);
    bundle.set("/process/user/uid", 33.into()).write();
    let output = host.sub_ids("").run(t.run_command(&bundle)).output();
    // A warning comes before the error.
    let error = output.stderr.lines().last().unwrap_or_default();
    for part in ["process.user.uid: 33", "/etc/subuid", "rootling doctor"] {
        assert!(error.contains(part), "{part}: {output}");
    }
    assert_eq!(output.exit(), 1, "{output}");
}

fn used_up_user_namespaces_are_named(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.ids(Ids::Single(0, 0)).write();
    // Root of a user namespace may set the limit of its own namespace.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces; exec \"$@\"";
    let output = t.run_command(&bundle).under(&["unshare", "-Ur", "sh", "-c", script, "sh"]).output();
    output.fails_with(&["user.max_user_namespaces is 0", "sysctl -w", "rootling doctor"]);
}

fn no_adapt_leaves_the_spec_alone(t: &Test) {
    let mut bundle = maps_printer(t);
    let run =
        |bundle: &Bundle| t.rootling(&["run", "--no-adapt", "-b"]).arg(bundle.dir()).arg(t.id("c")).output();
    // Without a user namespace an ordinary user may not do any of it.
    run(&bundle).fails_with(&["EPERM", "user namespace"]);
    // A complete configuration runs.
    bundle.ids(Ids::Single(t.account().uid, t.account().gid)).write();
    assert_eq!(numbers(&run(&bundle).ok()), only_the_caller(t));
    // --userns-remap concerns the adaptation.
    let both = ["run", "--no-adapt", "--userns-remap", "1000", "c"];
    t.rootling(&both).output().fails_with(&["--no-adapt", "--userns-remap"]);
}

fn root_maps_the_ranges_of_a_named_owner(t: &Test) {
    let bundle = maps_printer(t);
    let run = |owner: &str| {
        let command = t.rootling(&["run", "--userns-remap", owner, "-b"]).arg(bundle.dir()).arg(t.id("c"));
        let Some(host) = Variation::of(t) else { unreachable!("root started the tests") };
        host.file("/etc/subuid", "daemon:700000:10\n77:800000:20\n")
            .file("/etc/subgid", "daemon:710000:10\nadm:720000:30\n77:730000:20\n")
            .run(command)
            .output()
    };
    assert_eq!(numbers(&run("daemon").ok()), [0, 700_000, 10, 0, 710_000, 10]);
    // The ranges belong to the user; the group only has to exist.
    assert_eq!(numbers(&run("daemon:adm").ok()), [0, 700_000, 10, 0, 710_000, 10]);
    assert_eq!(numbers(&run("77:adm").ok()), [0, 800_000, 20, 0, 730_000, 20]);
    run("daemon:no-such-group").fails_with(&["no group \"no-such-group\" in /etc/group"]);
    for root in ["root", "root:root", "0"] {
        let output = run(root).ok();
        assert!(
            output.stderr.contains("id map: nothing is mapped: root cannot be mapped to itself"),
            "{output}"
        );
        assert_eq!(numbers(&output), numbers(&t.run(&bundle).ok()), "{root}");
    }
    run("nobody").fails_with(&["/etc/subuid", "no range for \"nobody\""]);
    run("no-such-user").fails_with(&["no user \"no-such-user\" in /etc/passwd"]);
    run("a:b:c").fails_with(&["not of the form UID, UID:GID, USER, USER:GROUP, default or root"]);
}

fn default_owner_is_dockremap_or_the_error_says_how_to_make_it(t: &Test) {
    let bundle = maps_printer(t);
    let known = fs::read_to_string("/etc/passwd").expect("the users of this host");
    let others: String = known
        .lines()
        .filter(|line| !line.starts_with("dockremap:"))
        .fold(String::new(), |text, line| text + line + "\n");
    let run = |passwd: &str| {
        let command =
            t.rootling(&["run", "--userns-remap", "default", "-b"]).arg(bundle.dir()).arg(t.id("c"));
        let Some(host) = Variation::of(t) else { unreachable!("root started the tests") };
        host.file("/etc/passwd", passwd)
            .file("/etc/subuid", "dockremap:700000:10\n")
            .file("/etc/subgid", "dockremap:710000:10\n")
            .run(command)
            .output()
    };
    let output = run(&format!("{others}dockremap:x:64990:64990::/:/bin/false\n")).ok();
    assert_eq!(numbers(&output), [0, 700_000, 10, 0, 710_000, 10]);
    run(&others).fails_with(&[
        "no user \"dockremap\"",
        "useradd --system",
        "usermod --add-subuids 710010-775545",
    ]);
}

fn debug_says_what_fails_with_a_single_id(t: &Test) {
    let run = |bundle: &Bundle| {
        let run = t.rootling(&["--debug", "run", "-b"]).arg(bundle.dir()).arg(t.id("c"));
        run.output().ok()
    };
    let mut bundle = t.shell("touch /tmp/file; chown 1 /tmp/file 2>&1; cat /proc/self/setgroups");
    let output = run(bundle.write());
    // What it reports is true.
    assert!(output.stdout.contains("Invalid argument") && output.stdout.ends_with("deny\n"), "{output}");
    let lines: Vec<_> = output.stderr.lines().filter(|line| line.contains("only one id is mapped")).collect();
    assert_eq!(lines.len(), 1, "{output}");
    for part in [
        "level=debug",
        "setgroups(2)",
        "EPERM",
        "chown(2)",
        "EINVAL",
        "apt, dpkg and su",
        "newuidmap",
        "--userns auto",
    ] {
        assert!(lines[0].contains(part), "no {part:?}: {output}");
    }
    if bundle.many_ids() {
        let output = run(bundle.write());
        assert!(!output.stderr.contains("only one id"), "{output}");
    }
}
