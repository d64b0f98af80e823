//! Bad input results in one clear line that names what is wrong, and leaves nothing behind.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use rootling_tests::{Bundle, Ids, Test, Who, both, eventually, user};
use serde_json::{Value, json};

both!(
    bundle_that_does_not_exist,
    bundle_without_config,
    config_that_is_no_json_has_line_and_column,
    empty_config,
    field_of_a_wrong_type_has_its_path,
    limit_that_no_kernel_takes,
    missing_rootfs,
    empty_args,
    unknown_namespace,
    namespace_given_twice,
    relative_working_directory,
    id_that_is_empty,
    id_that_is_no_file_name,
    id_that_is_too_long,
    id_in_use,
    start_of_a_running_container,
    start_of_a_stopped_container,
    delete_of_a_running_container,
    kill_of_a_stopped_container,
    unknown_container,
    state_root_that_is_a_file,
    full_disk_for_the_state,
    id_that_the_kernel_takes_for_none,
);
user!(unreadable_state_root);

/// Both ways to use a bundle fail in the same way.
fn refused(t: &Test, bundle: &Path, parts: &[&str]) {
    for command in ["run", "create"] {
        t.rootling(&[command, "-b"]).arg(bundle).arg(t.id("c")).output().fails_with(parts);
        assert_no_state(t);
    }
}

fn assert_no_state(t: &Test) {
    let entries: Vec<_> = fs::read_dir(t.state_root()).into_iter().flatten().flatten().collect();
    assert!(entries.is_empty(), "state left behind: {entries:?}");
}

fn bundle_with(t: &Test, pointer: &str, value: Value) -> Bundle {
    let mut bundle = t.bundle(&["true"]);
    bundle.set(pointer, value).write();
    bundle
}

fn bundle_that_does_not_exist(t: &Test) {
    refused(t, Path::new("/no/such/bundle"), &["/no/such/bundle"]);
}

fn bundle_without_config(t: &Test) {
    refused(t, t.bundle(&["true"]).dir(), &["config.json"]);
}

fn config_that_is_no_json_has_line_and_column(t: &Test) {
    let bundle = t.bundle(&["true"]);
    bundle.write_text("{\"ociVersion\": \"1.0.2\",\n  \"process\": {,}\n}\n");
    refused(t, bundle.dir(), &["config.json", "line 2", "column 15"]);
}

fn empty_config(t: &Test) {
    let bundle = t.bundle(&["true"]);
    bundle.write_text("");
    refused(t, bundle.dir(), &["config.json"]);
}

fn field_of_a_wrong_type_has_its_path(t: &Test) {
    let cases = [
        ("/process/args", json!("true"), "process.args"),
        ("/process/user/uid", json!("root"), "process.user.uid"),
        ("/root/path", json!(7), "root.path"),
        ("/mounts/1/destination", json!(["/dev"]), "mounts[1].destination"),
        (
            "/linux/uidMappings",
            json!([{"containerID": 0, "hostID": -1, "size": 1}]),
            "linux.uidMappings[0].hostID",
        ),
    ];
    for (pointer, value, path) in cases {
        refused(t, bundle_with(t, pointer, value).dir(), &["config.json", path]);
    }
}

/// Even if there is no cgroup to limit.
fn limit_that_no_kernel_takes(t: &Test) {
    for (resources, parts) in [
        (json!({"memory": {"limit": -5}}), ["linux.resources.memory.limit: -5", "use -1 for no limit"]),
        (json!({"memory": {"swap": 5}}), ["linux.resources.memory.swap: 5", "needs a memory limit"]),
        (json!({"memory": {"swappiness": 101}}), ["linux.resources.memory.swappiness: 101", "use 0 to 100"]),
        (json!({"cpu": {"period": 100}}), ["linux.resources.cpu.period: 100", "1000 to 1000000"]),
        (json!({"cpu": {"idle": 7}}), ["linux.resources.cpu.idle: 7", "use 0 or 1"]),
        (json!({"cpu": {"cpus": "3-1"}}), ["linux.resources.cpu.cpus", "\"3-1\""]),
        (json!({"hugepageLimits": [{"pageSize": "/../x", "limit": 1}]}), ["pageSize: \"/../x\"", "like 2MB"]),
        (json!({"unified": {"a/b.c": "1"}}), ["linux.resources.unified: \"a/b.c\"", "like memory.high"]),
    ] {
        refused(t, bundle_with(t, "/linux/resources", resources).dir(), &parts);
    }
}

fn missing_rootfs(t: &Test) {
    refused(t, bundle_with(t, "/root/path", "no-such-rootfs".into()).dir(), &["no-such-rootfs"]);
    let mut bundle = t.bundle(&["true"]);
    bundle.remove("/root").write();
    refused(t, bundle.dir(), &["root"]);
}

fn empty_args(t: &Test) {
    refused(t, bundle_with(t, "/process/args", json!([])).dir(), &["process.args"]);
    let mut bundle = t.bundle(&["true"]);
    bundle.remove("/process/args").write();
    refused(t, bundle.dir(), &["process.args"]);
}

fn unknown_namespace(t: &Test) {
    refused(t, bundle_with(t, "/linux/namespaces/-", json!({"type": "colour"})).dir(), &["colour"]);
}

fn namespace_given_twice(t: &Test) {
    let bundle = bundle_with(t, "/linux/namespaces/-", json!({"type": "pid"}));
    refused(t, bundle.dir(), &["duplicated namespace", "pid"]);
}

fn relative_working_directory(t: &Test) {
    refused(t, bundle_with(t, "/process/cwd", "tmp".into()).dir(), &["cwd", "tmp"]);
}

/// The names in the test's directory, without those that the harness writes there.
fn names(t: &Test) -> BTreeSet<String> {
    let entries = fs::read_dir(t.path("")).expect("list the test's directory").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !name.starts_with("output") && name != "state").collect()
}

fn refused_id(t: &Test, id: &str, shown: &str) {
    let bundle = t.bundle(&["true"]);
    bundle.write();
    let before = names(t);
    for command in ["run", "create"] {
        t.rootling(&[command, "-b"]).arg(bundle.dir()).arg(id).output().fails_with(&[shown]);
    }
    for command in ["start", "state", "kill", "delete"] {
        t.rootling(&[command, id]).output().fails_with(&[shown]);
    }
    assert_eq!(names(t), before);
    assert_no_state(t);
}

fn id_that_is_empty(t: &Test) {
    refused_id(t, "", "id");
}

fn id_that_is_no_file_name(t: &Test) {
    for id in ["a/b", "/etc", "..", ".", "../bundle0", "a b", "ä", "a\u{7}b"] {
        // A control character is shown in another form.
        refused_id(t, id, if id.contains('\u{7}') { "id" } else { id });
    }
}

fn id_that_is_too_long(t: &Test) {
    refused_id(t, &"a".repeat(4096), "aaaa");
}

fn id_in_use(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000"]);
    t.create(bundle.write(), "c").ok();
    t.create(&bundle, "c").fails_with(&[&t.id("c")]);
    t.run(&bundle).fails_with(&[&t.id("c")]);
    // The first one is unchanged.
    assert_eq!(t.status("c"), "created");
    t.start("c").ok();
    assert_eq!(t.status("c"), "running");
    t.delete_force("c").ok();
}

fn start_of_a_running_container(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000"]);
    t.create(bundle.write(), "c").ok();
    t.start("c").ok();
    t.start("c").fails_with(&[&t.id("c"), "running"]);
    assert_eq!(t.status("c"), "running");
    t.delete_force("c").ok();
}

fn stopped(t: &Test) {
    let bundle = t.bundle(&["true"]);
    t.create(bundle.write(), "c").ok();
    t.start("c").ok();
    eventually("the container has stopped", || t.status("c") == "stopped");
}

fn start_of_a_stopped_container(t: &Test) {
    stopped(t);
    t.start("c").fails_with(&[&t.id("c"), "stopped"]);
    t.rootling(&["delete", &t.id("c")]).output().ok();
}

fn delete_of_a_running_container(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000"]);
    t.create(bundle.write(), "c").ok();
    t.start("c").ok();
    t.rootling(&["delete", &t.id("c")]).output().fails_with(&[&t.id("c"), "running"]);
    assert_eq!(t.status("c"), "running");
    t.delete_force("c").ok();
}

fn kill_of_a_stopped_container(t: &Test) {
    stopped(t);
    t.rootling(&["kill", &t.id("c"), "KILL"]).output().fails_with(&[&t.id("c")]);
    t.rootling(&["delete", &t.id("c")]).output().ok();
}

fn unknown_container(t: &Test) {
    let id = t.id("never");
    for command in ["state", "start", "kill", "delete"] {
        t.rootling(&[command, &id]).output().fails_with(&[&id]);
    }
    assert_no_state(t);
}

fn unreadable_state_root(t: &Test) {
    let root = t.state_root();
    fs::create_dir(&root).expect("make the state directory");
    chown(&root, Some(t.account().uid), Some(t.account().gid)).expect("chown of the state directory");
    fs::set_permissions(&root, fs::Permissions::from_mode(0o0)).expect("chmod of the state directory");
    refused_root(t);
    fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).expect("chmod of the state directory");
}

fn state_root_that_is_a_file(t: &Test) {
    fs::write(t.state_root(), "a file").expect("write the file");
    refused_root(t);
}

fn refused_root(t: &Test) {
    let root = t.state_root();
    let root = root.to_str().expect("a path in UTF-8");
    let bundle = t.bundle(&["true"]);
    for command in ["run", "create"] {
        let command = t.rootling(&[command, "-b"]).arg(bundle.write().dir()).arg(t.id("c"));
        command.output().fails_with(&[root]);
    }
    t.rootling(&["state", &t.id("c")]).output().fails_with(&[root]);
    t.rootling(&["list"]).output().fails_with(&[root]);
}

/// The state directory is a full tmpfs in a mount namespace of the test's own.
fn full_disk_for_the_state(t: &Test) {
    let fill = r#"mount -t tmpfs -o size=64k,mode=700 tmpfs "$0" && cat /dev/zero >"$0/fill" 2>/dev/null
        "$@"; code=$?; ls -A "$0" >left; exit $code"#;
    let root = t.state_root();
    fs::create_dir(&root).expect("make the state directory");
    let mut bundle = t.bundle(&["true"]);
    let unshare = match t.who() {
        Who::Root => "-m",
        Who::User => {
            // Becomes root of a user namespace, who may mount.
            bundle.ids(Ids::Single(0, 0));
            chown(&root, Some(t.account().uid), Some(t.account().gid)).expect("chown of the state directory");
            "-Urm"
        }
    };
    let root = root.to_str().expect("a path in UTF-8");
    for command in ["run", "create"] {
        let command = t.rootling(&[command, "-b"]).arg(bundle.write().dir()).arg(t.id("c"));
        let output = command.under(&["unshare", unshare, "sh", "-c", fill, root]).output();
        output.fails_with(&[root]);
        assert!(["ENOSPC", "No space left"].iter().any(|text| output.stderr.contains(text)), "{output}");
        assert_eq!(fs::read_to_string(t.path("left")).expect("read the listing"), "fill\n");
    }
}

/// setresuid(2) takes 4294967295 for "no change", which leaves root: the program would run as root (similar to
/// CVE-2024-40635).
fn id_that_the_kernel_takes_for_none(t: &Test) {
    const NONE: u32 = u32::MAX;
    let words = ["4294967295 cannot be an id", "use 0 to 4294967294"];
    for (pointer, field) in
        [("/process/user/uid", "process.user.uid"), ("/process/user/gid", "process.user.gid")]
    {
        let bundle = bundle_with(t, pointer, NONE.into());
        refused(t, bundle.dir(), &[&[field][..], &words].concat());
    }
    let mut bundle = bundle_with(t, "/process/user/additionalGids", json!([5, NONE]));
    // With a single id there are no groups at all.
    if bundle.many_ids() {
        refused(t, bundle.write().dir(), &["process.user.additionalGids[1]", words[0]]);
    }
    let device = json!([{"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "uid": NONE}]);
    refused(t, bundle_with(t, "/linux/devices", device).dir(), &["linux.devices[0].uid", words[0]]);

    let mut bundle = t.bundle(&["sleep", "1000000"]);
    t.run_detached(bundle.write(), "c").ok();
    let file = t.path("process.json");
    let process = json!({"cwd": "/", "args": ["/bin/true"], "user": {"uid": NONE, "gid": 0}});
    fs::write(&file, process.to_string()).expect("write a process");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("chmod");
    let file = file.to_string_lossy();
    for (flags, field) in [
        (&["-u", "4294967295"][..], "process.user.uid"),
        (&["-u", "0:4294967295"], "process.user.gid"),
        (&["-g", "4294967295"], "process.user.additionalGids"),
        (&["--process", &file], "process.user.uid"),
    ] {
        let command: &[&str] = if flags[0] == "--process" { &[] } else { &["id", "-u"] };
        t.exec(flags, "c", command).output().fails_with(&[field, words[0]]);
    }
    t.delete_force("c").ok();
    // The same in a container that is created and not started.
    t.create(bundle.set("/process/args", json!(["true"])).write(), "d").ok();
    t.exec(&["-u", "4294967295"], "d", &["id", "-u"]).output().fails_with(&["process.user.uid", words[0]]);
    t.delete_force("d").ok();
}
