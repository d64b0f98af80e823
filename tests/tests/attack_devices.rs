//! Devices that a container was not given: nodes in its image or made by its program, and what an image has in
//! place of /dev/null, which rootling itself uses.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixStream;

use nix::unistd::pipe;
use rootling_tests::race::{expect, race_of, slowed};
use rootling_tests::{Bundle, Cmd, Exchange, Outside, Test, Who, both, root, skip, user};
use serde_json::{Value, json};

both!(
    streams_are_not_replaced_by_what_an_image_has_for_null,
    streams_are_not_replaced_by_what_an_image_gets_for_null,
);
root!(device_that_is_not_allowed_cannot_be_opened, device_of_the_host_that_an_image_links_to_stays_as_it_is);
user!(
    container_of_a_user_cannot_make_devices,
    device_in_the_image_is_as_closed_to_a_container_as_to_its_user
);

/// Makes a device in the image, that of the kernel's messages. Returns false, with the reason printed, if the file
/// system of the image does not support devices.
fn kernel_messages(bundle: &Bundle, mode: &str) -> bool {
    let node = bundle.rootfs("kmsg");
    let mknod =
        std::process::Command::new("mknod").args(["-m", mode]).arg(&node).args(["c", "1", "11"]).status();
    assert!(mknod.expect("start mknod").success(), "mknod {}", node.display());
    let opened = File::options().write(true).open(&node);
    if let Err(error) = &opened {
        skip(&format!("root itself cannot open a device in the directory of the tests: {error}"));
    }
    opened.is_ok()
}

/// Opens the device in the image for reading and for writing, and then one that it makes itself; prints a line for
/// each success. Every container may make it, as in runc and crun, and what it has made is as inaccessible as what
/// was there.
const USE_DEVICE: &str = "(: </kmsg) && echo opened; (: >/kmsg) && echo opened; mknod /tmp/made c 1 11; \
                          (: >/tmp/made) && echo opened; true";

/// GHSA-g54h-m393-cpwq: what is not allowed is denied, whether or not there are rules.
fn device_that_is_not_allowed_cannot_be_opened(t: &Test) {
    let mut bundle = t.shell(USE_DEVICE);
    if !kernel_messages(&bundle, "0666") {
        return;
    }
    bundle.capabilities(&["CAP_MKNOD", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN", "CAP_SYSLOG"]);
    let deny = json!({"allow": false, "access": "rwm"});
    let allow = |minor: u32| json!({"allow": true, "type": "c", "major": 1, "minor": minor, "access": "rwm"});
    for (rules, expected) in [
        (Value::Null, ""),
        (json!([]), ""),
        (json!([deny]), ""),
        (json!([deny, allow(12)]), ""),
        (json!([allow(12)]), ""),
        (json!([allow(11), deny]), ""),
        // This shows that the rules decide, and that nothing else is in the way.
        (json!([deny, allow(11)]), "opened\nopened\nopened\n"),
    ] {
        bundle.remove("/linux/resources");
        if !rules.is_null() {
            bundle.set("/linux/resources/devices", rules.clone());
        }
        let output = t.run(bundle.write()).ok();
        assert_eq!(output.stdout, expected, "{rules}: {output}");
        let refused = output.stderr.matches("Operation not permitted").count();
        assert_eq!(refused, 3 - expected.lines().count(), "{rules}: {output}");
        let _ = fs::remove_file(bundle.rootfs("tmp/made"));
    }
}

/// A device in the configuration gets its owner and its mode. If the image has a link in its place, nothing that
/// the link leads to gets them. With a hook the device is made while the host is still visible.
fn device_of_the_host_that_an_image_links_to_stays_as_it_is(t: &Test) {
    let node = t.path("node");
    t.command("mknod").args(&["-m", "0666"]).arg(&node).args(&["c", "1", "5"]).output().ok();
    let facts =
        || fs::metadata(&node).map(|node| (node.uid(), node.gid(), node.mode())).expect("stat of the device");
    let before = facts();
    for hooks in [json!({}), json!({"createContainer": [{"path": "/bin/true"}]})] {
        let mut bundle = t.bundle(&["true"]);
        bundle.without_mount("/dev").set("/hooks", hooks.clone());
        bundle.link("dev/zero", &node.to_string_lossy());
        let device = json!({"path": "/dev/zero", "type": "c", "major": 1, "minor": 5, "fileMode": 0o600, "uid": 1, "gid": 1});
        bundle.set("/linux/devices", json!([device]));
        let output = t.run(bundle.write());
        assert_eq!(facts(), before, "{hooks}: {output}");
        if output.exit() != 0 {
            output.fails_with(&["/dev/zero"]);
        }
    }
}

/// Whatever it may do in its own user namespace.
fn container_of_a_user_cannot_make_devices(t: &Test) {
    let script = "for number in '1 11' '1 3' '1 5'; do mknod /tmp/made c $number && echo made; done; \
                  mknod /dev/made b 7 0 && echo made; mknod /tmp/made p && echo a pipe; true";
    let mut bundle = t.shell(script);
    bundle.capabilities(&["CAP_MKNOD", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN"]);
    let output = t.run(bundle.write()).ok();
    assert_eq!(output.stdout, "a pipe\n", "{output}");
    assert_eq!(output.stderr.matches("Operation not permitted").count(), 4, "{output}");
}

/// A device that root has put into the image of an ordinary user gives the user's container no more access than the
/// user has.
fn device_in_the_image_is_as_closed_to_a_container_as_to_its_user(t: &Test) {
    if !nix::unistd::geteuid().is_root() {
        return skip("only root can put a device into an image");
    }
    for mode in ["0600", "0660", "0666"] {
        let mut bundle = t.shell("(: >/kmsg) && echo opened; chmod 0666 /kmsg && echo changed; true");
        if !kernel_messages(&bundle, mode) {
            return;
        }
        bundle.capabilities(&["CAP_MKNOD", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN", "CAP_FOWNER", "CAP_CHOWN"]);
        let inside = t.run(bundle.write()).ok();
        println!("{mode}: {inside}");
        let user = t.command("sh").args(&["-c", "(: >$0) && echo opened; true"]).arg(bundle.rootfs("kmsg"));
        assert_eq!(inside.stdout, user.output().ok().stdout, "{mode}: {inside}");
    }
}

/// A bundle with the /dev of its image and with a bind mount of a file of `outside` on /volume, which runs
/// `script`.
fn with_volume(t: &Test, outside: &Outside, script: &str) -> Bundle {
    let mut bundle = t.shell(script);
    bundle.without_mount("/dev");
    fs::write(bundle.rootfs("volume"), "").expect("make the mount point");
    bundle.mount("/volume", "bind", &outside.dir().join("file").to_string_lossy(), &["bind", "rw"]);
    bundle.own_all();
    bundle
}

/// A program that uses its standard streams.
const WRITE: &str =
    "for stream in 0 1 2; do echo written >&$stream; echo written >/proc/self/fd/$stream; done; true";

/// The kinds of standard streams.
#[derive(Clone, Copy, Debug)]
enum Streams {
    Null,
    Pipe,
    Socket,
}

impl Streams {
    /// Gives them to the command. Returns the other ends.
    fn of(self, command: Cmd) -> (Cmd, Vec<OwnedFd>) {
        let ((input, output, error), others) = match self {
            Self::Null => {
                let null = || -> OwnedFd {
                    let null = File::options().read(true).write(true).open("/dev/null");
                    null.expect("open the null device").into()
                };
                ((null(), null(), null()), Vec::new())
            }
            Self::Pipe => {
                let pipes = [(); 3].map(|()| pipe().expect("make a pipe"));
                let [(input, a), (b, output), (c, error)] = pipes;
                ((input, output, error), vec![a, b, c])
            }
            Self::Socket => {
                let pairs = [(); 3].map(|()| UnixStream::pair().expect("make a pair of sockets"));
                let [(input, a), (output, b), (error, c)] = pairs;
                ((input.into(), output.into(), error.into()), vec![a.into(), b.into(), c.into()])
            }
        };
        (command.stdin(input).stdout(output).stderr(error), others)
    }
}

/// CVE-2026-88265: a link to a file of the host that the container can write to, and that the program does not
/// open. rootling neither writes to it nor gives it to the program's user.
fn streams_are_not_replaced_by_what_an_image_has_for_null(t: &Test) {
    let mut outside = Outside::full(t);
    for bound in [false, true] {
        let mut bundle = with_volume(t, &outside, WRITE);
        symlink("/volume", bundle.rootfs("dev/null")).expect("make the link");
        if bound {
            // Nothing is made in it, and no mask is made from it.
            bundle.remove("/linux/maskedPaths");
            bundle.mount("/dev", "bind", &bundle.rootfs("dev").to_string_lossy(), &["bind"]);
        }
        let many = bundle.many_ids();
        for uid in [0, 1000].into_iter().filter(|uid| *uid == 0 || many) {
            bundle.set("/process/user", json!({"uid": uid, "gid": uid})).write();
            for streams in [Streams::Null, Streams::Pipe, Streams::Socket] {
                let log = t.path("log");
                let command = t.rootling(&["--log"]).arg(&log).args(&["run", "-b"]).arg(bundle.dir());
                let (command, _others) = streams.of(command.arg(t.id("c")));
                let output = command.output();
                let errors = fs::read_to_string(&log).unwrap_or_default();
                fs::write(&log, "").expect("empty the log");
                let case = format!("bound: {bound}, {streams:?}, uid {uid}, {output}, log: {errors}");
                println!("{case}");
                outside.assert_unchanged(&case);
                // Nothing has to be made in a bind-mounted /dev, so nothing prevents the program from running.
                assert!(output.exit() == 0 || errors.contains("/dev/null") && !bound, "{case}");
            }
        }
        // A program that reaches the file changes it.
        bundle.set("/process/user", json!({"uid": 0, "gid": 0}));
        bundle.set("/process/args", json!(["sh", "-c", "echo written >/dev/null"]));
        assert!(
            t.run(bundle.write()).exit() != 0 || outside.was_changed(),
            "a write by the link does not show"
        );
    }
}

/// Somebody exchanges the null device of the image with such a link meanwhile.
fn streams_are_not_replaced_by_what_an_image_gets_for_null(t: &Test) {
    let mut outside = Outside::full(t);
    let mut bundle = with_volume(t, &outside, WRITE);
    // Otherwise most starts would fail at a mask.
    bundle.remove("/linux/maskedPaths");
    let null = bundle.rootfs("dev/null");
    if t.account().uid == 0 {
        t.command("mknod").args(&["-m", "0666"]).arg(&null).args(&["c", "1", "3"]).output().ok();
    } else {
        fs::write(&null, "").expect("make a file to bind the device on");
    }
    symlink("/volume", bundle.rootfs("dev/link")).expect("make the link");
    bundle.own_all();
    let slow = slowed(t, "openat2", &["dev/null"]);
    // The set-user-id bit of newuidmap(1) has no effect if it is traced.
    if (t.who() == Who::Root || slow.is_empty()) && bundle.many_ids() {
        bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    }
    bundle.write();
    let exchange = Exchange::of(&null, &bundle.rootfs("dev/link"));
    let mut check = |_: &_| expect(!outside.was_changed(), "the file of the host is changed");
    race_of(&exchange, "/dev/null", &mut check, &mut || {
        let null = File::options().read(true).write(true).open("/dev/null").expect("open the null device");
        // Errors of the program are not those of rootling.
        let run = t.run_command(&bundle).under(&slow);
        let mut output = run.stdin(null.try_clone().expect("duplicate it")).stdout(null).output();
        if output.exit() == 0 {
            output.stderr.clear();
        }
        output
    });
}
