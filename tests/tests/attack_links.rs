//! Images whose links lead a mount, a device or a mask to a wrong place, without a race. Each of them results in an
//! error that names what was asked for, or in a container in which the link has led only inside.

use std::fmt::Display;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use rootling_tests::mountinfo::Mounts;
use rootling_tests::terminal::read_until;
use rootling_tests::{Bundle, Output, Outside, Socket, Test, Variation, Who, both, eventually, root};
use serde_json::{Value, json};

root!(mount_below_a_volume_of_its_own_does_not_reach_the_host);

both!(
    volume_on_a_link_to_the_root_is_an_error,
    volume_on_a_link_to_the_root_is_an_error_with_a_hook,
    file_system_on_a_link_to_the_root_is_an_error,
    mount_on_the_root_is_an_error,
    source_in_the_image_shows_no_second_proc,
    source_in_the_image_takes_no_restriction_of_another_mount_away,
    remount_on_a_link_changes_no_other_mount,
    propagation_is_of_the_mount_that_was_made_and_not_of_what_its_path_leads_to,
    volume_on_a_link_to_proc_or_sys_is_an_error,
    file_system_on_a_link_to_proc_is_an_error,
    proc_and_sys_that_are_links_are_errors,
    dev_that_is_a_link_leads_nowhere_outside,
    dev_that_is_a_file_is_an_error,
    links_in_the_dev_of_an_image_lead_nowhere_outside,
    links_in_the_dev_of_an_image_lead_nowhere_outside_with_a_hook,
    devices_behind_a_link_are_made_inside,
    terminal_with_links_in_the_dev_of_an_image_stays_inside,
    terminal_of_what_is_no_terminal_multiplexer_is_an_error,
    null_device_that_is_a_link_masks_or_is_an_error,
);
root!(null_device_that_is_another_one_is_an_error);

/// The error for a mount that would cover the whole container.
const ON_THE_ROOT: &str = "container's root";

/// Links in an image that lead to its root.
const TO_THE_ROOT: [&str; 5] = ["/", ".", "..", "/.", "/bin/.."];

/// The position of a mount in the list.
#[derive(Clone, Copy, Debug)]
enum Place {
    First,
    /// After /proc and /dev.
    Third,
    Last,
}

const PLACES: [Place; 3] = [Place::First, Place::Third, Place::Last];

/// Inserts a mount into the list.
fn insert_mount(bundle: &mut Bundle, place: Place, mount: Value) {
    let mounts = bundle.config["mounts"].as_array_mut().expect("mounts are a list");
    let index = match place {
        Place::First => 0,
        Place::Third => 2,
        Place::Last => mounts.len(),
    };
    mounts.insert(index, mount);
}

fn volume_at(destination: &str, volume: &Outside) -> Value {
    json!({"destination": destination, "source": volume.text(), "type": "bind", "options": ["rbind", "rw"]})
}

/// A bundle that runs `script`, with a link in the image.
fn with_link(t: &Test, script: &str, name: &str, target: &str) -> Bundle {
    let bundle = t.shell(script);
    let path = bundle.rootfs(name);
    if path.exists() {
        fs::remove_dir_all(&path).expect("remove the directory");
    }
    symlink(target, path).expect("make the link");
    bundle.own_all();
    bundle
}

/// A volume that makes devices appear in `outside` if it is taken for a root file system.
fn volume_with_dev(t: &Test, outside: &Outside) -> Outside {
    Outside::with(t, &["proc", "sys", "bin", "etc", "tmp"], &[]).link("dev", outside.dir())
}

/// Runs the bundle: the result is an error with these words, and the directories are unchanged.
fn is_refused(t: &Test, bundle: &Bundle, directories: &[&Outside], words: &[&str], case: &dyn Display) {
    println!("{case}");
    let output = t.run(bundle.write());
    for directory in directories {
        directory.assert_unchanged(&format!("{case}: {output}"));
    }
    assert!(output.exit() != 0, "{case}: not refused: {output}");
    output.fails_with(words);
}

/// Otherwise libcontainer would make its devices in the volume, and through its link outside.
fn volume_on_a_link_to_the_root_is_an_error(t: &Test) {
    let outside = Outside::like_dev(t);
    let volume = volume_with_dev(t, &outside);
    for target in TO_THE_ROOT {
        let bundle = with_link(t, "true", "data", target);
        for place in PLACES {
            let mut bundle = bundle.clone();
            insert_mount(&mut bundle, place, volume_at("/data", &volume));
            let case = format!("/data -> {target}, {place:?}");
            is_refused(t, &bundle, &[&outside, &volume], &["/data", ON_THE_ROOT], &case);
        }
    }
}

/// With a hook all mounts, even the last one, are made before libcontainer does its part.
fn volume_on_a_link_to_the_root_is_an_error_with_a_hook(t: &Test) {
    let outside = Outside::like_dev(t);
    let volume = volume_with_dev(t, &outside);
    for kind in ["createRuntime", "createContainer", "prestart"] {
        for target in ["/", "."] {
            let mut bundle = with_link(t, "true", "data", target);
            bundle.set(&format!("/hooks/{kind}"), json!([{"path": "/bin/true"}]));
            insert_mount(&mut bundle, Place::Last, volume_at("/data", &volume));
            let case = format!("/data -> {target}, {kind}");
            is_refused(t, &bundle, &[&outside, &volume], &["/data", ON_THE_ROOT], &case);
        }
    }
}

/// Another file system would hide the image and everything that was mounted before.
fn file_system_on_a_link_to_the_root_is_an_error(t: &Test) {
    for kind in ["tmpfs", "mqueue", "cgroup"] {
        for target in TO_THE_ROOT {
            for place in PLACES {
                let mut bundle = with_link(t, "true", "data", target);
                insert_mount(
                    &mut bundle,
                    place,
                    json!({"destination": "/data", "source": kind, "type": kind}),
                );
                let case = format!("{kind} on /data -> {target}, {place:?}");
                is_refused(t, &bundle, &[], &["/data", ON_THE_ROOT], &case);
            }
        }
    }
}

/// However the path is spelled.
fn mount_on_the_root_is_an_error(t: &Test) {
    let outside = Outside::like_dev(t);
    let volume = volume_with_dev(t, &outside);
    for destination in ["/", "/.", "/bin/..", "/../.."] {
        for place in PLACES {
            for mount in [
                volume_at(destination, &volume),
                json!({"destination": destination, "source": "tmpfs", "type": "tmpfs"}),
            ] {
                let case = format!("{mount}, {place:?}");
                let mut bundle = t.bundle(&["true"]);
                insert_mount(&mut bundle, place, mount);
                is_refused(t, &bundle, &[&outside, &volume], &[ON_THE_ROOT], &case);
            }
        }
    }
}

/// What replaces proc or sysfs could tell anything to the program and to whoever writes settings there.
fn volume_on_a_link_to_proc_or_sys_is_an_error(t: &Test) {
    let volume = Outside::with(t, &["self", "sys/kernel"], &["kcore", "sysrq-trigger"]);
    let cases = [
        ("/proc", "/proc"),
        ("/proc/.", "/proc"),
        ("bin/../proc", "/proc"),
        ("/proc/sys", "/proc"),
        ("/sys", "/sys"),
        ("sys/.", "/sys"),
    ];
    for (target, file_system) in cases {
        for place in PLACES {
            let mut bundle = with_link(t, "true", "data", target);
            insert_mount(&mut bundle, place, volume_at("/data", &volume));
            let case = format!("/data -> {target}, {place:?}");
            is_refused(t, &bundle, &[&volume], &["/data", file_system], &case);
        }
    }
}

fn file_system_on_a_link_to_proc_is_an_error(t: &Test) {
    for target in ["/proc", "proc/.", "/proc/sys"] {
        for kind in ["tmpfs", "mqueue"] {
            let mut bundle = with_link(t, "true", "data", target);
            let mount = json!({"destination": "/data", "source": kind, "type": kind});
            insert_mount(&mut bundle, Place::Last, mount);
            is_refused(t, &bundle, &[], &["/data", "/proc"], &format!("/data -> {target}, {kind}"));
        }
    }
}

/// Masks and read-only paths are meant for what is mounted there.
fn proc_and_sys_that_are_links_are_errors(t: &Test) {
    let outside = Outside::full(t);
    for name in ["proc", "sys"] {
        for target in ["/tmp", "tmp", "/", outside.text(), &outside.relative()] {
            let bundle = with_link(t, "true", name, target);
            let case = format!("/{name} -> {target}");
            is_refused(t, &bundle, &[&outside], &[&format!("/{name}")], &case);
        }
    }
}

/// Checks what a program needs of a /dev that is mounted, and prints what is mounted where.
const USE_DEV: &str = "set -e; echo x >/dev/null; test -c /dev/null; test -e /dev/fd/0; test -c /dev/ptmx; \
                       head -c 4 /dev/zero | wc -c; cat /proc/self/mountinfo";

/// Each requested mount exists once, and those that no link in the image affects are at their places; or the result
/// is an error that names /dev.
fn mounts_are_inside_or_dev_is_named(bundle: &Bundle, output: &Output, case: &dyn Display) {
    if output.exit() != 0 {
        println!("{case}");
        return output.fails_with(&["/dev"]);
    }
    let (_, mountinfo) = output.stdout.split_once("4\n").expect("what /dev/zero gave, and the mounts");
    let mounts = Mounts::parse(mountinfo);
    for mount in bundle.config["mounts"].as_array().expect("mounts are a list") {
        let (destination, kind) = (mount["destination"].as_str(), mount["type"].as_str());
        let (destination, kind) = (destination.expect("a destination"), kind.expect("a type"));
        if !destination.starts_with("/dev") {
            assert_eq!(mounts.at(destination).kind, kind, "{case}: {mounts:#?}");
        } else if kind != "tmpfs" {
            let count = mounts.iter().filter(|mount| mount.kind == kind).count();
            assert_eq!(count, 1, "{case}: {kind} is mounted elsewhere: {mounts:#?}");
        }
    }
}

/// With and without a mount on it: it is replaced by a directory with devices that are made by path.
fn dev_that_is_a_link_leads_nowhere_outside(t: &Test) {
    for outside in [Outside::like_dev(t), Outside::full(t)] {
        for target in [outside.text(), &outside.relative(), "/tmp", "tmp", "/", "."] {
            let mounted = with_link(t, USE_DEV, "dev", target);
            let mut of_the_image = mounted.clone();
            of_the_image.without_mount("/dev");
            for bundle in [mounted, of_the_image] {
                for flags in [&[][..], &["--no-pivot"]] {
                    let case = format!("/dev -> {target}, {flags:?}, {}", bundle.config["mounts"][1]);
                    let output = t.run_command(bundle.write()).args(flags).output();
                    outside.assert_unchanged(&format!("{case}: {output}"));
                    mounts_are_inside_or_dev_is_named(&bundle, &output, &case);
                }
            }
        }
    }
}

fn dev_that_is_a_file_is_an_error(t: &Test) {
    for mounted in [true, false] {
        let mut bundle = t.bundle(&["true"]);
        fs::remove_dir(bundle.rootfs("dev")).expect("remove the directory");
        fs::write(bundle.rootfs("dev"), "").expect("make the file");
        bundle.own_all();
        if !mounted {
            bundle.without_mount("/dev");
        }
        is_refused(t, &bundle, &[], &["/dev"], &format!("mounted: {mounted}"));
    }
}

/// Names in the /dev of an image that lead outside, to a directory that has such names.
const NAMES_IN_DEV: [&str; 10] =
    ["null", "zero", "ptmx", "console", "pts", "shm", "mqueue", "fd", "stdin", "core"];

/// Makes each of `names` in the image's /dev a link to that name below `target`.
fn link_names_in_dev(bundle: &Bundle, names: &[&str], target: &str) {
    for name in names {
        symlink(Path::new(target).join(name), bundle.rootfs("dev").join(name)).expect("make the link");
    }
    bundle.own_all();
}

/// If the image's /dev is kept: each name by itself, and all at the same time.
fn links_in_the_dev_of_an_image_lead_nowhere_outside(t: &Test) {
    let outside = Outside::full(t);
    let each = NAMES_IN_DEV.iter().map(std::slice::from_ref);
    for names in each.chain([&NAMES_IN_DEV[..]]) {
        for target in [outside.text(), &outside.relative()] {
            // What the image has linked may be useless for the program.
            let mut bundle = t.shell("echo 4; cat /proc/self/mountinfo");
            bundle.without_mount("/dev");
            link_names_in_dev(&bundle, names, target);
            let case = format!("{names:?} -> {target}");
            let output = t.run(bundle.write());
            outside.assert_unchanged(&format!("{case}: {output}"));
            mounts_are_inside_or_dev_is_named(&bundle, &output, &case);
        }
    }
}

/// With a hook the devices are made while the host is still visible.
fn links_in_the_dev_of_an_image_lead_nowhere_outside_with_a_hook(t: &Test) {
    let outside = Outside::full(t);
    for names in NAMES_IN_DEV.iter().map(std::slice::from_ref).chain([&NAMES_IN_DEV[..]]) {
        let mut bundle = t.shell("echo 4; cat /proc/self/mountinfo");
        bundle.without_mount("/dev").set("/hooks/createContainer", json!([{"path": "/bin/true"}]));
        link_names_in_dev(&bundle, names, outside.text());
        let output = t.run(bundle.write());
        outside.assert_unchanged(&format!("{names:?}: {output}"));
        mounts_are_inside_or_dev_is_named(&bundle, &output, &format!("{names:?}"));
    }
}

/// Devices in the configuration, for one of which a directory must be made.
fn devices_behind_a_link_are_made_inside(t: &Test) {
    let outside = Outside::full(t);
    for target in [outside.text(), &outside.relative(), "/", "/dev/shm"] {
        let mut bundle = with_link(t, "ls /link/", "link", target);
        let device = |path: &str, minor: u32| json!({"path": path, "type": "c", "major": 1, "minor": minor});
        let devices = [device("/link/zero", 5), device("/link/made/full", 7)];
        bundle.set("/linux/devices", json!(devices));
        let output = t.run(bundle.write());
        outside.assert_unchanged(&format!("/link -> {target}: {output}"));
        if output.exit() == 0 {
            let names: Vec<&str> = output.stdout.lines().collect();
            assert!(names.contains(&"zero") && names.contains(&"made"), "/link -> {target}: {output}");
        } else {
            output.fails_with(&["/link/"]);
        }
    }
}

/// CVE-2025-52565: the terminal is mounted on /dev/console.
fn terminal_with_links_in_the_dev_of_an_image_stays_inside(t: &Test) {
    let outside = Outside::full(t);
    for names in [&["console"][..], &["ptmx"], &["pts"], &["console", "ptmx", "pts", "null"]] {
        for target in [outside.text(), &outside.relative(), "/tmp"] {
            let mut bundle = t.shell(
                "test -t 0 && test -t 1 && test -t 2 && echo all; stat -L -c '%F' /dev/console; echo the end",
            );
            bundle.set("/process/terminal", true.into());
            bundle.without_mount("/dev");
            link_names_in_dev(&bundle, names, target);
            let case = format!("{names:?} -> {target}");
            let shown = created_with_terminal(t, &bundle, &case);
            outside.assert_unchanged(&case);
            assert!(!bundle.rootfs("tmp/console").exists(), "{case}: a link was followed, and a file made");
            if let Some(shown) = shown {
                assert!(shown.starts_with("all\r\ncharacter special file\r\n"), "{case}: {shown}");
            }
        }
    }
}

/// CVE-2025-52565: a terminal is not requested from anything else that the image has there.
fn terminal_of_what_is_no_terminal_multiplexer_is_an_error(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    bundle.set("/process/terminal", true.into()).without_mount("/dev");
    let ptmx = bundle.rootfs("dev/ptmx");
    let refused = |what: &str| {
        let socket = Socket::listen(t, &format!("{what}.sock"));
        let create = t.rootling(&["create", "--console-socket"]).arg(socket.path()).arg("-b");
        let create = create.arg(bundle.write().dir()).arg(t.id("c")).output();
        create.fails_with(&["process.terminal", "/dev/ptmx is not a terminal multiplexer (5:2)"]);
    };
    fs::write(&ptmx, "").expect("make a file of the image");
    bundle.own_all();
    refused("file");
    if t.who() == Who::Root {
        fs::remove_file(&ptmx).expect("remove the file");
        t.command("mknod").arg(&ptmx).args(&["c", "1", "5"]).output().ok();
        refused("zero");
    }
}

/// Creates and starts the container. Returns what its program prints to its terminal, unless the result is an error
/// that names /dev.
fn created_with_terminal(t: &Test, bundle: &Bundle, case: &dyn Display) -> Option<String> {
    let name = bundle.dir().file_name().expect("a bundle has a name").to_string_lossy();
    let socket = Socket::listen(t, &format!("{name}.sock"));
    let create = t.rootling(&["create", "--console-socket"]).arg(socket.path()).arg("-b");
    let create = create.arg(bundle.write().dir()).arg(t.id("c")).output();
    if create.exit() != 0 {
        println!("{case}");
        create.fails_with(&["/dev"]);
        return None;
    }
    let master = socket.receive();
    t.start("c").ok();
    let shown = read_until(&master, "the end");
    eventually("the container has stopped", || t.status("c") == "stopped");
    t.rootling(&["delete", &t.id("c")]).output().ok();
    Some(shown)
}

/// CVE-2025-31133: a masked file is covered by the null device and not by anything that the image has put there.
fn null_device_that_is_a_link_masks_or_is_an_error(t: &Test) {
    for target in ["/etc/passwd", "../proc/sys/kernel/core_pattern", "/proc/self/exe", "zero"] {
        let mut bundle = t.shell("stat -c %t:%T /proc/version /proc/uptime; wc -c </secret");
        bundle.without_mount("/dev");
        symlink(target, bundle.rootfs("dev/null")).expect("make the link");
        fs::write(bundle.rootfs("secret"), "secret").expect("make the file");
        bundle.own_all();
        bundle.set("/linux/maskedPaths", json!(["/proc/version", "/proc/uptime", "/secret"]));
        let output = t.run(bundle.write());
        if output.exit() == 0 {
            assert_eq!(output.stdout, "1:3\n1:3\n0\n", "/dev/null -> {target}: {output}");
        } else {
            output.fails_with(&["/dev/null"]);
        }
    }
}

/// The image has a null device that is a different device.
fn null_device_that_is_another_one_is_an_error(t: &Test) {
    let mut bundle = t.shell("stat -c %t:%T /proc/version");
    bundle.without_mount("/dev");
    bundle.set("/linux/maskedPaths", json!(["/proc/version"]));
    let device = bundle.rootfs("dev/null");
    t.command("mknod").args(&["-m", "0666"]).arg(&device).args(&["c", "1", "5"]).output().ok();
    let output = t.run(bundle.write());
    if output.exit() == 0 {
        assert_eq!(output.stdout, "1:3\n", "{output}");
    } else {
        output.fails_with(&["/dev/null"]);
    }
}

/// The image can redirect a source in the root file system to the container's own /proc or /sys, or to a directory
/// that contains them: there they would have neither masks nor read-only paths.
fn source_in_the_image_shows_no_second_proc(t: &Test) {
    for (link, source, kind, name) in [
        (Some("/proc"), "volume", "bind", "/proc"),
        (Some("proc"), "volume", "rbind", "/proc"),
        (Some("/proc/sys"), "volume", "bind", "/proc"),
        (Some("/"), "volume", "rbind", "/proc"),
        (Some("/sys"), "volume", "bind", "/sys"),
        (None, "", "rbind", "/proc"),
        (None, "proc", "bind", "/proc"),
    ] {
        let mut bundle = t.bundle(&["true"]);
        if let Some(to) = link {
            symlink(to, bundle.rootfs("volume")).expect("make a link");
        }
        bundle.mount("/seen", "bind", &bundle.rootfs(source).to_string_lossy(), &[kind]);
        t.run(bundle.write()).fails_with(&["/seen", &format!("leads to the container's {name}")]);
    }
    // The source is seen as the earlier mounts have left it.
    let mut bundle = t.shell("cat /seen/file");
    bundle.mount("/volume", "tmpfs", "tmpfs", &[]);
    bundle.mount("/seen", "bind", &bundle.rootfs("etc").to_string_lossy(), &["bind"]);
    fs::write(bundle.rootfs("etc/file"), "inside\n").expect("write a file");
    assert_eq!(t.run(bundle.write()).ok().stdout, "inside\n");
}

/// The image redirects a source in the root file system to a read-only volume, or to a directory with such a volume
/// below it. The first is an error, and through the second the volume remains read-only.
fn source_in_the_image_takes_no_restriction_of_another_mount_away(t: &Test) {
    for (link, seen, options) in [
        ("/volumes/one", "/seen", &["bind", "rw"][..]),
        ("volumes/one/directory", "/seen", &["rbind", "rw", "exec", "suid", "dev"]),
        ("/volumes", "/seen/one", &["rbind", "rw"]),
        ("/volumes", "/seen/one", &["rbind", "rrw"]),
        ("/volumes/one/..", "/seen/one", &["rbind", "rrw", "rexec"]),
    ] {
        let outside = Outside::with(t, &["directory"], &["file"]);
        let script = format!("echo changed >{seen}/file; echo new >{seen}/new; cat {seen}/file");
        let mut bundle = t.shell(&script);
        symlink(link, bundle.rootfs("link")).expect("make a link");
        fs::create_dir(bundle.rootfs("volumes")).expect("make a directory");
        bundle.own_all();
        bundle.mount("/volumes/one", "bind", outside.text(), &["bind", "ro", "noexec"]);
        bundle.mount("/seen", "bind", &bundle.rootfs("link").to_string_lossy(), options);
        let output = t.run(bundle.write());
        outside.assert_unchanged(&output);
        if seen == "/seen" {
            output.fails_with(&[
                "/seen",
                "leads by a link of the image to another mount",
                "name the source of that mount",
            ]);
            continue;
        }
        let output = output.ok();
        assert_eq!(output.stdout, "file of outside\n", "{options:?}: {output}");
        assert_eq!(output.stderr.matches("Read-only file system").count(), 2, "{options:?}: {output}");
    }
}

/// A link in the image redirects a remount to another mount of the container, whose flags it would change.
fn remount_on_a_link_changes_no_other_mount(t: &Test) {
    for target in ["/volume", "/sys", "/proc", "/"] {
        let outside = Outside::with(t, &[], &["file"]);
        let mut bundle = t.shell("echo changed >/volume/file");
        symlink(target, bundle.rootfs("link")).expect("make a link");
        bundle.mount("/volume", "bind", outside.text(), &["bind", "ro"]);
        bundle.mount("/link", "none", "none", &["remount", "bind", "rw"]);
        let output = t.run(bundle.write());
        output.fails_with(&[
            "/link",
            "a link of the image leads",
            "name the path of the mount that is meant",
        ]);
        outside.assert_unchanged(&"a remount on a link");
    }
    // The mount that was made at that path is meant, whatever links are on the way.
    let outside = Outside::with(t, &[], &["file"]);
    let mut bundle = t.shell("echo changed >/way/volume/file");
    fs::create_dir(bundle.rootfs("real")).expect("make a directory");
    symlink("real", bundle.rootfs("way")).expect("make a link");
    bundle.own_all();
    bundle.mount("/way/volume", "bind", outside.text(), &["bind", "rw"]);
    bundle.mount("/way/volume", "none", "none", &["remount", "bind", "ro"]);
    let output = t.run(bundle.write());
    assert!(output.stderr.contains("Read-only file system"), "{output}");
    outside.assert_unchanged(&output);
}

/// If one volume is shared, so is the host's tree while the container is being made. What is mounted below a volume
/// that is not shared must stay in the container nevertheless, wherever a link leads.
fn mount_below_a_volume_of_its_own_does_not_reach_the_host(t: &Test) {
    let outside = Outside::with(t, &["sub", "other"], &["file"]);
    let shared = t.open_directory("shared");
    for (link, kind, source) in
        [("/volume/sub", "bind", outside.dir().join("other")), ("/volume/sub", "tmpfs", "tmpfs".into())]
    {
        for propagation in ["rprivate", "rslave", "private", "slave"] {
            let Some(host) = Variation::of(t) else { return };
            let mut bundle = t.bundle(&["true"]);
            bundle.set("/linux/rootfsPropagation", "shared".into());
            symlink(link, bundle.rootfs("link")).expect("make a link");
            bundle.mount("/volume", "bind", outside.text(), &["rbind", "ro", propagation]);
            bundle.mount("/shared", "bind", &shared.to_string_lossy(), &["rbind", "rw", "shared"]);
            let options: &[&str] = if kind == "bind" { &["rbind", "rprivate"] } else { &[] };
            bundle.mount("/link", kind, &source.to_string_lossy(), options);
            let run = t.rootling(&["run", "-b"]).arg(bundle.write().dir()).arg(t.id("c"));
            let script = "\"$@\" && cat /proc/self/mountinfo";
            let output =
                host.line("mount --make-rshared /").run(run.under(&["sh", "-c", script, "sh"])).output();
            let mounts = output.ok().stdout;
            assert!(!mounts.contains(outside.text()), "{kind} {propagation}: {mounts}");
        }
    }
}

/// A later mount covers the place to which a link in the image has led an earlier one, or another mount is at the
/// end of that path.
fn propagation_is_of_the_mount_that_was_made_and_not_of_what_its_path_leads_to(t: &Test) {
    for covering in [&[][..], &["deep", "deep/place"]] {
        let outside = Outside::with(t, covering, &["file"]);
        let mut bundle = t.shell("cat /proc/self/mountinfo");
        fs::create_dir_all(bundle.rootfs("real/deep/place")).expect("make directories");
        symlink("/real/deep/place", bundle.rootfs("link")).expect("make a link");
        bundle.own_all();
        let etc = bundle.rootfs("etc").to_string_lossy().into_owned();
        bundle.mount("/link", "bind", &etc, &["bind", "private"]);
        bundle.mount("/real", "bind", outside.text(), &["bind", "slave"]);
        let mounts = Mounts::parse(&t.run(bundle.write()).ok().stdout);
        assert!(!mounts.at("/real").tags.iter().any(|tag| tag.starts_with("shared")), "{mounts:?}");
    }
}
