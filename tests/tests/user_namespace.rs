//! User namespaces: a single id, subordinate ranges, nested, and as root.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rootling_tests::{Ids, Test, both, root, skip, user};
use serde_json::json;

user!(
    single_id_maps_the_caller_to_root,
    ranges_map_more_ids,
    process_may_be_another_id_of_the_ranges,
    missing_user_namespace_is_added,
    container_runs_inside_a_user_namespace,
    lifecycle_works_inside_a_user_namespace,
    single_id_needs_no_newuidmap,
    ranges_without_a_newuidmap_that_may_map_them_say_so,
    ids_of_others_are_refused,
    unmapped_process_user_is_refused,
);
root!(
    root_runs_without_a_user_namespace,
    root_maps_any_range,
    root_maps_every_id,
    file_of_the_host_keeps_its_owner
);
both!(pipes_belong_to_the_user_of_the_container);

fn single_id_maps_the_caller_to_root(t: &Test) {
    let bundle = t.shell("id -u; id -g; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups");
    let (uid, gid) = (t.account().uid.to_string(), t.account().gid.to_string());
    let output = t.run(bundle.write()).ok();
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "0", &uid, "1", "0", &gid, "1", "deny"]);
}

fn ranges(t: &Test) -> Option<Ids> {
    let ranges = t.account().ranges();
    if ranges.is_none() {
        skip("the user has no range in /etc/subuid and /etc/subgid");
    }
    ranges
}

fn ranges_map_more_ids(t: &Test) {
    let Some(ids) = ranges(t) else { return };
    let Ids::Ranges { uid, count, .. } = ids else { unreachable!("these are ranges") };
    let mut bundle = t.bundle(&["cat", "/proc/self/uid_map"]);
    bundle.ids(ids);
    let output = t.run(bundle.write()).ok();
    let numbers: Vec<u32> =
        output.stdout.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    assert_eq!(numbers, [0, t.account().uid, 1, 1, uid, count]);
}

fn process_may_be_another_id_of_the_ranges(t: &Test) {
    let Some(ids) = ranges(t) else { return };
    let Ids::Ranges { uid, gid, .. } = ids else { unreachable!("these are ranges") };
    let mut bundle = t.shell("id -u; id -g; id -G; touch /tmp/made");
    bundle.ids(ids).set("/process/user", json!({"uid": 5, "gid": 7, "additionalGids": [9]}));
    let output = t.run(bundle.write()).ok();
    assert_eq!(output.stdout, "5\n7\n7 9\n");
    let made = fs::metadata(bundle.rootfs("tmp/made")).expect("the file that the container made");
    // Id 1 of the container is the first one of the range.
    assert_eq!((made.uid(), made.gid()), (uid + 4, gid + 6));
}

fn missing_user_namespace_is_added(t: &Test) {
    let mut bundle = t.shell("id -u; id -g");
    bundle.ids(Ids::None);
    assert_eq!(t.run(bundle.write()).ok().stdout, "0\n0\n");
}

fn container_runs_inside_a_user_namespace(t: &Test) {
    let mut bundle = t.shell("id -u; cat /proc/self/uid_map");
    let mut run = |ids| t.run_command(bundle.ids(ids).write()).under(&["unshare", "-Ur"]).output().ok();
    let nested = run(Ids::Single(0, 0));
    assert_eq!(nested.stdout.split_whitespace().collect::<Vec<_>>(), ["0", "0", "0", "1"]);
    // Without a separate namespace in the configuration, it may use the one that it is in.
    assert!(run(Ids::None).stdout.starts_with("0\n"));
}

fn lifecycle_works_inside_a_user_namespace(t: &Test) {
    let mut bundle = t.bundle(&["sleep", "1000"]);
    bundle.ids(Ids::Single(0, 0)).write();
    let script = r#"set -e
        "$0" --root "$1" create -b "$2" "$3"
        "$0" --root "$1" start "$3"
        "$0" --root "$1" kill "$3" KILL
        until "$0" --root "$1" state "$3" | grep -q stopped; do sleep 0.01; done
        "$0" --root "$1" delete "$3""#;
    let command = t.command("unshare").args(&["-Ur", "sh", "-c", script]).arg(t.binary()).arg(t.state_root());
    command.arg(bundle.dir()).arg(t.id("c")).output().ok();
}

fn single_id_needs_no_newuidmap(t: &Test) {
    let bundle = t.bundle(&["true"]);
    t.run_command(bundle.write()).env("PATH", t.path("empty")).output().ok();
}

fn ranges_without_a_newuidmap_that_may_map_them_say_so(t: &Test) {
    let Some(ids) = ranges(t) else { return };
    let mut bundle = t.bundle(&["true"]);
    bundle.ids(ids);
    // With no_new_privs its set-user-id bit has no effect.
    let output = t.run_command(bundle.write()).under(&["setpriv", "--no-new-privs"]).output();
    output.fails_with(&["newuidmap"]);
}

fn ids_of_others_are_refused(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.ids(Ids::Ranges { uid: 4_000_000_000, gid: 4_000_000_000, count: 10 });
    t.run(bundle.write()).fails_with(&[
        "linux.uidMappings",
        "4000000000",
        "/etc/subuid",
        "map only ids that are",
    ]);
}

fn unmapped_process_user_is_refused(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.set("/process/user/uid", 1234.into());
    t.run(bundle.write()).fails_with(&["linux.uidMappings: no mapping for uid 1234"]);
    // The error for what exec asks for occurs where it becomes that user.
    let sleeping = t.bundle(&["sleep", "1000000"]);
    t.run_detached(sleeping.write(), "c").ok();
    for (user, error) in
        [("1234", "process.user.uid: setresuid(1234)"), ("0:1234", "process.user.gid: setresgid(1234)")]
    {
        t.exec(&["-u", user], "c", &["true"]).output().fails_with(&[error]);
    }
    t.delete_force("c").ok();
}

fn root_runs_without_a_user_namespace(t: &Test) {
    let bundle = t.shell("id -u; readlink /proc/self/ns/user");
    let host = fs::read_link("/proc/self/ns/user").expect("our user namespace");
    assert_eq!(t.run(bundle.write()).ok().stdout, format!("0\n{}\n", host.display()));
}

fn root_maps_any_range(t: &Test) {
    let mut bundle = t.shell("id -u; cat /proc/self/uid_map; touch /tmp/made");
    let map = json!([{"containerID": 0, "hostID": 300_000, "size": 1000}]);
    bundle.set("/linux/namespaces/-", json!({"type": "user"}));
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    let output = t.run(bundle.write()).ok();
    assert_eq!(output.stdout.split_whitespace().collect::<Vec<_>>(), ["0", "0", "300000", "1000"]);
    let made = fs::metadata(bundle.rootfs("tmp/made")).expect("the file that the container made");
    assert_eq!((made.uid(), made.gid()), (300_000, 300_000));
}

fn root_maps_every_id(t: &Test) {
    // The map looks like that of the host's own namespace, but no device can be made in it.
    let mut bundle = t.shell("cat /proc/self/uid_map; stat -c %t:%T /dev/null");
    let map = json!([{"containerID": 0, "hostID": 0, "size": u32::MAX}]);
    bundle.set("/linux/namespaces/-", json!({"type": "user"}));
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    let output = t.run(bundle.write()).ok();
    assert_eq!(output.stdout.split_whitespace().collect::<Vec<_>>(), ["0", "0", "4294967295", "1:3"]);
}

/// An image that logs to /dev/stdout opens it again, which requires permission for the pipe and not only the
/// descriptor.
fn pipes_belong_to_the_user_of_the_container(t: &Test) {
    let script = "echo out >/dev/stdout; echo err >/dev/stderr; cat /dev/stdin";
    let pipes = ["sh", "-c", "echo in | \"$@\" 2>&1 | cat", "sh"];
    let mut bundle = t.shell(script);
    if !bundle.mapped().many_ids() {
        return;
    }
    for id in [0, 33] {
        bundle.set("/process/user", json!({"uid": id, "gid": id}));
        let output = t.run_command(bundle.write()).under(&pipes).output().ok();
        assert!(output.stdout.ends_with("out\nerr\nin\n"), "{id}: {output}");
    }
    let mut bundle = t.bundle(&["sleep", "1000"]);
    assert!(bundle.mapped().many_ids());
    t.run_detached(bundle.write(), "c").ok();
    for user in ["0", "33:33"] {
        let output = t.exec(&["-u", user], "c", &["sh", "-c", script]).under(&pipes).output().ok();
        assert!(output.stdout.ends_with("out\nerr\nin\n"), "{user}: {output}");
    }
    t.delete_force("c").ok();
}

/// The container may write to what it was given, and to nothing else.
fn file_of_the_host_keeps_its_owner(t: &Test) {
    let path = t.path("log");
    let log = fs::File::create(&path).expect("a file");
    let mut bundle = t.shell("echo written");
    bundle.mapped().set("/process/user", json!({"uid": 33, "gid": 33}));
    t.run_command(bundle.write()).stdout(log).output().ok();
    assert_eq!(fs::read_to_string(&path).expect("the file"), "written\n");
    assert_eq!(fs::metadata(&path).expect("the file").uid(), 0);
}
