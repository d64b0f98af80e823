//! `linux.devices` and the default contents of `/dev`, checked from inside and from outside.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};

use rootling_tests::{Bundle, Output, Test, both, root, skip, snapshot, user};
use serde_json::json;

both!(
    default_devices_and_links_are_there,
    nothing_of_dev_is_left_in_the_image,
    console_is_the_terminal,
    bound_dev_stays_as_it_is,
    default_device_of_the_list_has_its_own_mode_or_is_the_hosts,
    device_below_a_link_stays_inside,
    wrong_device_is_one_line_that_names_it,
);
root!(
    devices_have_their_type_numbers_mode_and_owner,
    devices_of_a_user_namespace_have_their_mode_and_owner,
    device_in_place_of_a_link_changes_nothing_outside,
    device_rule_without_access_is_an_error,
);
user!(device_of_the_host_is_bound, device_that_the_host_cannot_give_is_an_error);

/// The name, and the numbers in hexadecimal: config-linux.md, "Default Devices".
const DEFAULTS: [(&str, &str); 6] = [
    ("null", "1:3"),
    ("zero", "1:5"),
    ("full", "1:7"),
    ("random", "1:8"),
    ("urandom", "1:9"),
    ("tty", "5:0"),
];

fn default_devices_and_links_are_there(t: &Test) {
    let script = "cd /dev; for d in null zero full random urandom tty; do stat -c '%n %F %a %t:%T' $d; done
        for l in fd stdin stdout stderr ptmx; do readlink $l; done
        echo x >null && head -c 3 zero | wc -c; echo x >full || head -c 5 urandom | wc -c; ls -d console pts shm";
    let output = t.run(t.shell(script).write());
    let devices = DEFAULTS.map(|(name, number)| format!("{name} character special file 666 {number}\n"));
    let links = "/proc/self/fd\n/proc/self/fd/0\n/proc/self/fd/1\n/proc/self/fd/2\npts/ptmx\n";
    assert_eq!(output.stdout, format!("{}{links}3\n5\npts\nshm\n", devices.concat()));
    assert!(
        output.stderr.contains("No space left") && output.stderr.contains("console: No such file"),
        "{output}"
    );
}

fn nothing_of_dev_is_left_in_the_image(t: &Test) {
    let bundle = t.bundle(&["true"]);
    t.run(bundle.write()).ok();
    assert_eq!(fs::read_dir(bundle.rootfs("dev")).expect("the image's /dev").count(), 0);
}

/// The terminal is also at /dev/console, whatever the image has there.
fn console_is_the_terminal(t: &Test) {
    let terminal = rootling_tests::terminal::Terminal::open(24, 80);
    let mut bundle =
        t.shell("echo on the console >/dev/console; stat -c '%F %u' /dev/console /proc/self/fd/0; tty");
    if !bundle.many_ids() {
        return;
    }
    bundle.set("/process/terminal", true.into()).set("/process/user", json!({"uid": 5, "gid": 7}));
    let running = terminal.attach(t.run_command(bundle.write())).spawn();
    let shown = terminal.read_until("/dev/pts/0");
    assert!(shown.contains("on the console") && shown.contains("character special file 5"), "{shown}");
    running.output().ok();
    // Nothing was made on the host.
    assert!(!bundle.rootfs("dev/console").exists());
}

fn bound_dev_stays_as_it_is(t: &Test) {
    let mut bundle = t.shell("ls -A /dev");
    let dev = bundle.rootfs("own");
    fs::create_dir(&dev).expect("make a directory");
    fs::write(dev.join("file"), "").expect("write a file");
    bundle.own_all();
    bundle.set("/mounts", json!([{"destination": "/proc", "type": "proc", "source": "proc"}]));
    bundle.set("/linux/maskedPaths", json!([])).mount("/dev", "bind", &dev.to_string_lossy(), &["bind"]);
    assert_eq!(t.run(bundle.write()).ok().stdout, "file\n");
}

fn default_device_of_the_list_has_its_own_mode_or_is_the_hosts(t: &Test) {
    let mut bundle = t.shell("stat -c '%a %t:%T' /dev/null; echo x >/dev/null");
    let device = json!({"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o622});
    bundle.set("/linux/devices", json!([device]));
    // The host's own device belongs to somebody whom the user cannot act for.
    let mode = if t.account().uid == 0 { "622" } else { "666" };
    assert_eq!(t.run(bundle.write()).ok().stdout, format!("{mode} 1:3\n"));
    let host = fs::metadata("/dev/null").expect("stat of the host's");
    assert_eq!(host.mode() & 0o7777, 0o666);
}

/// Runs the bundle and shows these devices from inside.
fn shown(t: &Test, bundle: &mut Bundle, paths: &[&str]) -> Output {
    let args: Vec<_> = ["stat", "-c", "%n %F %a %u:%g %t:%T"].iter().chain(paths).copied().collect();
    bundle.set("/process/args", args.into());
    t.run(bundle.write()).ok()
}

fn devices_have_their_type_numbers_mode_and_owner(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.set(
        "/linux/devices",
        json!([
            {"path": "/dev/char", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 5, "gid": 7},
            {"path": "/dev/unbuffered", "type": "u", "major": 1, "minor": 5, "fileMode": 0o777},
            {"path": "/dev/block", "type": "b", "major": 7, "minor": 300, "gid": 6},
            {"path": "/dev/pipe", "type": "p", "fileMode": 0o622, "uid": 1},
            {"path": "/dev/deep/er/char", "type": "c", "major": 1, "minor": 3},
            {"path": "/outside-dev", "type": "c", "major": 1, "minor": 3, "fileMode": 0o600}
        ]),
    );
    let paths =
        ["/dev/char", "/dev/unbuffered", "/dev/block", "/dev/pipe", "/dev/deep/er/char", "/outside-dev"];
    let expected = "/dev/char character special file 640 5:7 a:e5
/dev/unbuffered character special file 777 0:0 1:5
/dev/block block special file 666 0:6 7:12c
/dev/pipe fifo 622 1:0 0:0
/dev/deep/er/char character special file 666 0:0 1:3
/outside-dev character special file 600 0:0 1:3
";
    // The second time, what is in the image exists already.
    for _ in 0..2 {
        assert_eq!(shown(t, &mut bundle, &paths).stdout, expected);
    }
    let device = fs::metadata(bundle.rootfs("outside-dev")).expect("the device in the image");
    assert!(device.file_type().is_char_device());
}

/// They cannot call mknod(2), but root of the host can, and has made the devices.
fn devices_of_a_user_namespace_have_their_mode_and_owner(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.mapped().set(
        "/linux/devices",
        json!([
            // At no path of the host.
            {"path": "/dev/foo", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 5, "gid": 7},
            {"path": "/dev/tty0", "type": "c", "major": 4, "minor": 0, "fileMode": 0o666},
            {"path": "/dev/deep/er/block", "type": "b", "major": 7, "minor": 300, "gid": 6},
            {"path": "/dev/pipe", "type": "p", "fileMode": 0o622, "uid": 1},
        ]),
    );
    let paths = ["/dev/foo", "/dev/tty0", "/dev/deep/er/block", "/dev/pipe"];
    let expected = "/dev/foo character special file 640 5:7 a:e5
/dev/tty0 character special file 666 0:0 4:0
/dev/deep/er/block block special file 666 0:6 7:12c
/dev/pipe fifo 622 1:0 0:0
";
    let host =
        || fs::metadata("/dev/null").map(|facts| (facts.mode(), facts.uid())).expect("stat of the host's");
    let before = host();
    assert_eq!(shown(t, &mut bundle, &paths).stdout, expected);
    // It can be opened as a device, which would be impossible on a mount with nodev.
    bundle.set("/linux/devices", json!([{"path": "/dev/nil", "type": "c", "major": 1, "minor": 3}]));
    bundle.set("/process/args", json!(["sh", "-c", "echo x >/dev/nil && stat -c %s /dev/nil"]));
    assert_eq!(t.run(bundle.write()).ok().stdout, "0\n");
    // A joined user namespace has maps as well.
    t.create(&bundle, "holder").ok();
    let pid = t.state("holder")["pid"].clone();
    let mut joining = t.bundle(&["true"]);
    joining.set("/linux/namespaces/-", json!({"type": "user", "path": format!("/proc/{pid}/ns/user")}));
    joining.set(
        "/linux/devices",
        json!([{"path": "/dev/foo", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 5, "gid": 7}]),
    );
    let joined = shown(t, &mut joining, &["/dev/foo"]).stdout;
    assert_eq!(joined, "/dev/foo character special file 640 5:7 1:3\n");
    t.rootling(&["delete", "--force", &t.id("holder")]).output().ok();
    // An owner that is not mapped cannot be set.
    bundle.set("/linux/devices/0/uid", 1_000_000.into());
    t.run(bundle.write()).fails_with(&["linux.devices", "/dev/nil", "uid", "1000000 is not mapped"]);
    assert_eq!(host(), before);
}

/// A device that is not a default device and that everybody may open: its path and numbers.
fn open_device() -> Option<(&'static str, u64, u64)> {
    ["/dev/fuse", "/dev/net/tun", "/dev/kmsg", "/dev/autofs"].into_iter().find_map(|path| {
        let facts = fs::metadata(path).ok()?;
        let (major, minor) = (nix::sys::stat::major(facts.rdev()), nix::sys::stat::minor(facts.rdev()));
        (facts.file_type().is_char_device() && facts.mode() & 0o006 != 0).then_some((path, major, minor))
    })
}

fn device_of_the_host_is_bound(t: &Test) {
    let Some((path, major, minor)) = open_device() else {
        return skip("the host has no device for everybody but the default ones");
    };
    let mut bundle = t.bundle(&["true"]);
    let device =
        json!({"path": path, "type": "c", "major": major, "minor": minor, "fileMode": 0o600, "uid": 0});
    bundle.set("/linux/devices", json!([device]));
    let output = shown(t, &mut bundle, &[path]);
    assert!(output.stdout.ends_with(&format!(" 65534:65534 {major:x}:{minor:x}\n")), "{output}");
    let mounts = t.mounts_of(&mut bundle);
    assert_eq!(mounts.at(path).kind, mounts.at("/dev/null").kind, "both are of the host's /dev");
    // A number that differs from the host's is not possible.
    bundle.set("/linux/devices/0/minor", (minor + 1).into());
    t.run(bundle.write()).fails_with(&["linux.devices[0]", path, &format!("{major}:{minor}"), "correct"]);
}

fn device_that_the_host_cannot_give_is_an_error(t: &Test) {
    let closed = ["/dev/mem", "/dev/hwrng", "/dev/tty0", "/dev/loop-control"].into_iter().find_map(|path| {
        let facts = fs::metadata(path).ok()?;
        (facts.mode() & 0o006 == 0).then(|| (path, facts.rdev()))
    });
    let mut cases = vec![("/dev/no-such-device", 0, "not on this host")];
    match closed {
        Some((path, device)) => cases.push((path, device, "may neither read nor write it")),
        None => skip("the host has no device that is closed to others"),
    }
    for (path, device, why) in cases {
        let mut bundle = t.bundle(&["true"]);
        let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
        bundle.set("/linux/devices", json!([{"path": path, "type": "c", "major": major, "minor": minor}]));
        t.run(bundle.write()).fails_with(&["linux.devices[0]", path, why]);
    }
}

fn device_below_a_link_stays_inside(t: &Test) {
    let canary = t.path("canary");
    fs::create_dir(&canary).expect("make a directory");
    let before = snapshot::take(&canary);
    let mut bundle = t.bundle(&["true"]);
    symlink(&canary, bundle.rootfs("link")).expect("make a link");
    bundle.set("/linux/devices", json!([{"path": "/link/null", "type": "c", "major": 1, "minor": 3}]));
    let output = t.run(bundle.write());
    snapshot::assert_unchanged(&canary, &before, &output);
    if output.exit() != 0 {
        output.fails_with(&["/link/null"]);
    }
}

fn device_in_place_of_a_link_changes_nothing_outside(t: &Test) {
    let canary = t.path("canary");
    fs::write(&canary, "untouched").expect("write a file");
    let mut bundle = t.bundle(&["true"]);
    symlink(&canary, bundle.rootfs("special")).expect("make a link");
    let before = snapshot::take(&canary);
    bundle
        .set("/linux/devices", json!([{"path": "/special", "type": "c", "major": 1, "minor": 3, "uid": 5}]));
    let output = t.run(bundle.write());
    output.fails_with(&["linux.devices", "/special"]);
    snapshot::assert_unchanged(&canary, &before, &output);
}

fn wrong_device_is_one_line_that_names_it(t: &Test) {
    let bundle = t.bundle(&["true"]);
    for (device, parts) in [
        (json!({"path": "/dev/x", "type": "a"}), ["linux.devices[0].type", "\"a\""]),
        (json!({"path": "/dev/x", "type": "z"}), ["linux.devices[0].type", "z"]),
        (json!({"path": "dev/x", "type": "c", "major": 1, "minor": 3}), ["linux.devices[0].path", "dev/x"]),
        (json!({"path": "/dev/x", "type": "c", "major": -2, "minor": 3}), ["linux.devices[0].major", "-2"]),
        (json!({"type": "c", "major": 1, "minor": 3}), ["linux.devices[0]", "path"]),
    ] {
        let mut bundle = bundle.clone();
        bundle.set("/linux/devices", json!([device]));
        // For an ordinary user the error is in the first place that it is not a device of the host.
        let parts = if t.account().uid == 0 { parts.as_slice() } else { &["linux.devices[0]"] };
        t.run(bundle.write()).fails_with(parts);
    }
}

/// For an ordinary user there are no such rules.
fn device_rule_without_access_is_an_error(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle
        .set("/linux/resources", json!({"devices": [{"allow": true, "type": "c", "major": 1, "minor": 3}]}));
    let field = "linux.resources.devices[0].access";
    t.run(bundle.write()).fails_with(&[field, "device access at 0 field cannot be empty"]);
}
