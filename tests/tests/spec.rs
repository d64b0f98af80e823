//! Fields of config.json, checked from inside the container.

use std::fs;

use rootling_tests::{Test, both, root, user};
use serde_json::json;

both!(
    propagation_of_a_mount_is_what_it_asks_for,
    tmpcopyup_brings_what_the_image_has,
    readonly_dev_is_closed_when_it_is_filled,
    copied_link_stays_a_link,
    image_without_a_dev_mount_gets_devices_and_links_twice,
    unknown_network_device_is_an_error,
    descriptors_that_are_not_open_cannot_be_preserved,
    descriptors_between_preserved_ones_stay_closed,
    namespaces_are_joined_by_path,
    terminal_without_anybody_to_show_it_is_refused,
);
user!(time_namespace_has_its_offsets);
root!(limits_of_the_pids_controller_hold);

fn propagation_of_a_mount_is_what_it_asks_for(t: &Test) {
    let script = "grep -E ' /(shared|slave|private|unbindable) ' /proc/self/mountinfo | cut -d' ' -f5,7-9";
    let mut bundle = t.shell(script);
    for (place, option) in
        [("/shared", "rshared"), ("/slave", "slave"), ("/private", "private"), ("/unbindable", "unbindable")]
    {
        let mount = json!({"destination": place, "type": "tmpfs", "source": "tmpfs", "options": [option]});
        bundle.set("/mounts/-", mount);
    }
    let output = t.run(bundle.write()).ok();
    let line =
        |place: &str| output.stdout.lines().find(|l| l.starts_with(place)).unwrap_or_default().to_owned();
    assert!(line("/shared").contains("shared:"), "{output}");
    assert!(line("/unbindable").contains("unbindable"), "{output}");
    assert!(!line("/private").is_empty() && !line("/private").contains("shared:"), "{output}");
    assert!(!line("/slave").is_empty() && !line("/slave").contains("shared:"), "{output}");
}

fn tmpcopyup_brings_what_the_image_has(t: &Test) {
    let mut bundle = t.shell(
        "cat /etc/copied/deep/file; ls -l /etc/copied/link | grep -o 'link -> file'; touch /etc/copied/new",
    );
    let dir = bundle.rootfs("etc/copied/deep");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("file"), "content\n").unwrap();
    std::os::unix::fs::symlink("file", bundle.rootfs("etc/copied/link")).unwrap();
    bundle.own_all();
    let mount =
        json!({"destination": "/etc/copied", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]});
    bundle.set("/mounts/-", mount);
    assert_eq!(t.run(bundle.write()).ok().stdout, "content\nlink -> file\n");
    assert!(!bundle.rootfs("etc/copied/new").exists());
}

fn readonly_dev_is_closed_when_it_is_filled(t: &Test) {
    let mut bundle = t.shell("echo x > /dev/null && ls /dev/zero && ! touch /dev/new 2>/dev/null");
    let dev = json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "ro", "mode=755"]});
    bundle.set("/mounts", json!([{"destination": "/proc", "type": "proc", "source": "proc"}, dev]));
    assert_eq!(t.run(bundle.write()).ok().stdout, "/dev/zero\n");
}

fn copied_link_stays_a_link(t: &Test) {
    let mut bundle = t.shell("readlink /etc/linked");
    let link = t.path("link");
    std::os::unix::fs::symlink("somewhere/else", &link).unwrap();
    let mount = json!({"destination": "/etc/linked", "type": "bind", "source": link, "options": ["bind", "copy-symlink"]});
    bundle.set("/mounts/-", mount);
    for _ in 0..2 {
        assert_eq!(t.run(bundle.write()).ok().stdout, "somewhere/else\n");
    }
}

fn image_without_a_dev_mount_gets_devices_and_links_twice(t: &Test) {
    let mut bundle = t.shell("echo x > /dev/null && head -c 4 /dev/zero | wc -c && readlink /dev/fd");
    bundle.set("/mounts", json!([{"destination": "/proc", "type": "proc", "source": "proc"}]));
    for _ in 0..2 {
        assert_eq!(t.run(bundle.write()).ok().stdout, "4\n/proc/self/fd\n");
    }
}

fn unknown_network_device_is_an_error(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.without_namespace("network").set("/linux/namespaces/-", json!({"type": "network"}));
    bundle.set("/linux/netDevices", json!({"nosuchdev0": {}}));
    t.run(bundle.write()).fails_with(&["linux.netDevices", "nosuchdev0"]);
}

fn descriptors_that_are_not_open_cannot_be_preserved(t: &Test) {
    let bundle = t.bundle(&["true"]);
    let output = t.run_command(bundle.write()).args(&["--preserve-fds", "7"]).output();
    output.fails_with(&["--preserve-fds 7", "descriptor 9 is not open"]);
}

/// Engines name the highest of theirs, and those in between may not be open.
fn descriptors_between_preserved_ones_stay_closed(t: &Test) {
    let bundle = t.shell("cat <&5; cat <&9; ls /proc/self/fd");
    let path = t.path("file");
    fs::write(&path, "text\n").expect("write the file");
    let caller = ["sh", "-c", r#"exec 5<"$0" 9<"$0"; exec "$@""#, path.to_str().expect("a path in UTF-8")];
    let run = t.run_command(bundle.write()).args(&["--preserve-fds", "7"]);
    // The last one is that of the listed directory.
    assert_eq!(run.under(&caller).output().ok().stdout, "text\ntext\n0\n1\n2\n3\n5\n9\n");
    let mut bundle = bundle.sibling(t, &["sleep", "1000"]);
    t.run_command(bundle.set("/process/terminal", false.into()).write()).args(&["--detach"]).output().ok();
    let exec =
        t.exec(&["--preserve-fds", "7"], "c", &["sh", "-c", "cat <&9; ls /proc/self/fd"]).under(&caller);
    assert_eq!(exec.output().ok().stdout, "text\n0\n1\n2\n3\n5\n9\n");
    t.rootling(&["delete", "--force", &t.id("c")]).output().ok();
}

fn namespaces_are_joined_by_path(t: &Test) {
    let mut first = t.bundle(&["sleep", "1000"]);
    first.set("/hostname", "joined".into());
    t.create(first.write(), "first").ok();
    t.start("first").ok();
    let pid = t.state("first")["pid"].as_i64().unwrap();
    let mut second = t.shell("hostname; ps | grep -c 'sleep 1000'");
    let namespaces: Vec<_> = second_namespaces(&first_kinds(t), pid);
    second.set("/linux/namespaces", namespaces.into());
    second.remove("/linux/uidMappings").remove("/linux/gidMappings").remove("/hostname");
    let output = t.rootling(&["run", "-b"]).arg(second.write().dir()).arg(t.id("second")).output().ok();
    assert_eq!(output.stdout.lines().next(), Some("joined"), "{output}");
    t.delete_force("first").ok();
}

/// Root's containers have no user namespace of their own.
fn first_kinds(t: &Test) -> Vec<(&'static str, &'static str)> {
    let mut kinds = vec![("pid", "pid"), ("ipc", "ipc"), ("uts", "uts")];
    if t.who() == rootling_tests::Who::User {
        kinds.push(("user", "user"));
    }
    kinds
}

fn second_namespaces(kinds: &[(&str, &str)], pid: i64) -> Vec<serde_json::Value> {
    let joined =
        kinds.iter().map(|(kind, file)| json!({"type": kind, "path": format!("/proc/{pid}/ns/{file}")}));
    joined.chain([json!({"type": "mount"})]).collect()
}

fn terminal_without_anybody_to_show_it_is_refused(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.set("/process/terminal", true.into());
    t.run(bundle.write()).fails_with(&["process.terminal", "--console-socket"]);
}

fn time_namespace_has_its_offsets(t: &Test) {
    let mut bundle = t.bundle(&["cat", "/proc/uptime"]);
    bundle.set("/linux/namespaces/-", json!({"type": "time"}));
    bundle.set("/linux/timeOffsets", json!({"boottime": {"secs": 100_000_000}}));
    let output = t.run(bundle.write()).ok();
    let uptime: f64 = output.stdout.split_whitespace().next().unwrap().parse().unwrap();
    assert!(uptime > 100_000_000.0, "{output}");
}

fn limits_of_the_pids_controller_hold(t: &Test) {
    let mut bundle = t.shell("for i in 1 2 3 4 5 6 7 8 9; do sleep 0.2 & done 2>&1; wait");
    bundle.set("/linux/resources", json!({"pids": {"limit": 4}}));
    let output = t.run(bundle.write());
    assert!(output.stdout.contains("fork") || output.stderr.contains("fork"), "{output}");
}
