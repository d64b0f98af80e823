//! Somebody who shares the root file system, such as another container of it, changes names in it while containers
//! start. A start may fail if it reports the reason; what is started has all its mounts and masks, and nothing
//! outside is changed.
//!
//! Each race consists of several starts while a thread exchanges two names; `ROOTLING_ATTEMPTS` sets the minimum.
//! When the program looks, both names are as they were at first.

use std::fs;
use std::path::Path;

use rootling_tests::mountinfo::{Mount, Mounts};
use rootling_tests::race::{Verdict, expect, looking, race, race_of};
use rootling_tests::{Bundle, Exchange, Output, Outside, Socket, Test, both};
use serde_json::{Value, json};

both!(
    proc_is_masked_or_it_is_an_error,
    sys_is_masked_or_it_is_an_error,
    dev_leads_nowhere_outside,
    dev_leads_nowhere_outside_by_a_relative_link,
    dev_leads_nowhere_outside_with_a_hook,
    dev_of_the_image_leads_nowhere_outside,
    covered_paths_lead_nowhere_outside,
    working_directory_is_inside,
    working_directory_and_home_of_exec_are_inside,
    home_is_of_the_image,
    null_device_of_the_image_masks_or_it_is_an_error,
    console_of_the_image_leads_nowhere_outside,
    volume_is_not_on_the_root,
    volume_is_not_on_proc,
);

/// Makes a directory in the image on which a mount on `decoy` could land, and also covers of its files.
fn decoy(bundle: &Bundle, directories: &[&str], files: &[&str]) {
    for name in directories {
        fs::create_dir_all(bundle.rootfs("decoy").join(name)).expect("make a directory of the decoy");
    }
    for name in files {
        fs::write(bundle.rootfs("decoy").join(name), "").expect("make a file of the decoy");
    }
}

/// Prints everything that a program sees of mounts, wherever its procfs is.
const MOUNTS: &str = "cat /proc/self/mountinfo || cat /decoy/self/mountinfo";

/// There is exactly one file system of this kind, it is mounted on `point`, and all requested covers are on top of
/// it.
fn is_covered(mounts: &Mounts, kind: &str, point: &str, masks: &[&str], readonly: &[&str]) -> Verdict {
    let found: Vec<&Mount> = mounts.iter().filter(|mount| mount.kind == kind && mount.root == "/").collect();
    let [mount] = found[..] else { return Err(format!("{} mounts of {kind}", found.len())) };
    expect(mount.point == point, &format!("{kind} is not on {point}"))?;
    let on = |path: &str| mounts.on(mount).find(|cover| cover.point == path);
    for path in masks {
        expect(on(path).is_some_and(|cover| cover.kind != kind), &format!("{path} is not masked"))?;
    }
    for path in readonly {
        let closed = on(path).is_some_and(|cover| cover.kind == kind && cover.options.contains("ro"));
        expect(closed, &format!("{path} is not read-only"))?;
    }
    Ok(())
}

fn proc_is_masked_or_it_is_an_error(t: &Test) {
    let write = "for file in /proc/sys/kernel/domainname /decoy/sys/kernel/domainname; do \
                 (echo changed >$file) 2>/dev/null && echo wrote $file; done";
    let mut bundle = looking(t, &format!("{write}; {MOUNTS}"));
    decoy(&bundle, &["sys/kernel", "self"], &["version", "uptime", "sys/kernel/domainname"]);
    bundle.link("link", "/decoy");
    let (masks, readonly) = (["/proc/version", "/proc/uptime"], ["/proc/sys"]);
    bundle.set("/linux/maskedPaths", json!(masks)).set("/linux/readonlyPaths", json!(readonly));
    race(t, &bundle, ["proc", "link"], "/proc", &mut |output| {
        if output.exit() != 0 {
            return Ok(());
        }
        // The decoy's own file belongs to the image, as long as no procfs is there.
        let text = output.stdout.trim_start_matches("wrote /decoy/sys/kernel/domainname\n");
        expect(!text.starts_with("wrote"), "/proc/sys is writable")?;
        is_covered(&Mounts::parse(text), "proc", "/proc", &masks, &readonly)
    });
}

fn sys_is_masked_or_it_is_an_error(t: &Test) {
    let mut bundle = looking(t, MOUNTS);
    decoy(&bundle, &["kernel", "block"], &[]);
    bundle.link("link", "/decoy");
    let (masks, readonly) = (["/sys/kernel"], ["/sys/block"]);
    bundle.set("/linux/maskedPaths", json!(masks)).set("/linux/readonlyPaths", json!(readonly));
    race(t, &bundle, ["sys", "link"], "/sys", &mut |output| match output.exit() {
        0 => is_covered(&Mounts::parse(&output.stdout), "sysfs", "/sys", &masks, &readonly),
        _ => Ok(()),
    });
}

/// Nothing was changed outside, and what was started has each of its file systems, so none is elsewhere.
fn unchanged(outside: &mut Outside, output: &Output) -> Verdict {
    expect(!outside.was_changed(), "what lies outside is changed")?;
    if output.exit() != 0 {
        return Ok(());
    }
    let mounts = Mounts::parse(&output.stdout);
    for kind in ["proc", "devpts", "mqueue", "sysfs"] {
        let count = mounts.iter().filter(|mount| mount.kind == kind && mount.root == "/").count();
        expect(count == 1, &format!("{count} mounts of {kind}"))?;
    }
    Ok(())
}

/// `edit` changes the configuration.
fn exchange_dev(t: &Test, target: fn(&Outside) -> String, edit: fn(&mut Bundle)) {
    let mut outside = Outside::like_dev(t);
    let mut bundle = looking(t, MOUNTS);
    edit(&mut bundle);
    bundle.link("link", &target(&outside));
    race(t, &bundle, ["dev", "link"], "/dev", &mut |output| unchanged(&mut outside, output));
}

/// An `edit` that changes nothing.
fn as_it_is(_: &mut Bundle) {}

fn dev_leads_nowhere_outside(t: &Test) {
    exchange_dev(t, |outside| outside.text().to_owned(), as_it_is);
}

fn dev_leads_nowhere_outside_by_a_relative_link(t: &Test) {
    exchange_dev(t, Outside::relative, as_it_is);
}

/// With a hook no mount is left for later.
fn dev_leads_nowhere_outside_with_a_hook(t: &Test) {
    exchange_dev(
        t,
        |outside| outside.text().to_owned(),
        |bundle| {
            bundle.set("/hooks/createContainer", json!([{"path": "/bin/true"}]));
        },
    );
}

/// Makes the container have the /dev of the image.
fn of_the_image(bundle: &mut Bundle) {
    bundle.without_mount("/dev");
}

fn dev_of_the_image_leads_nowhere_outside(t: &Test) {
    exchange_dev(t, |outside| outside.text().to_owned(), of_the_image);
}

/// Covered paths are in a directory that is exchanged with a link to the outside: inside there may be nothing to
/// cover then, and outside nothing may be covered.
fn covered_paths_lead_nowhere_outside(t: &Test) {
    let mut outside = Outside::full(t);
    let mut bundle = looking(t, "cat /proc/self/mountinfo");
    for name in ["covered/firmware", "covered/work"] {
        fs::create_dir_all(bundle.rootfs(name)).expect("make a directory");
    }
    fs::write(bundle.rootfs("covered/file"), "").expect("make a file");
    bundle.link("link", outside.text());
    bundle.set("/linux/maskedPaths", json!(["/covered/file", "/covered/firmware"]));
    bundle.set("/linux/readonlyPaths", json!(["/covered/work"]));
    race(t, &bundle, ["covered", "link"], "/covered", &mut |output| {
        unchanged(&mut outside, output)?;
        let mounts = (output.exit() == 0).then(|| Mounts::parse(&output.stdout));
        let stray = mounts.iter().flat_map(Mounts::iter).find(|mount| mount.point.contains("outside"));
        expect(stray.is_none(), "a cover is at the link's target")
    });
}

/// Prints where the working directory of a program is, and what it contains.
const AT: &str = "pwd -P; cat of 2>/dev/null || echo nothing";

/// Gives a bundle its own working directory, which is exchanged with a link to `target`, where the same exists
/// outside.
fn with_working_directory(mut bundle: Bundle, target: &str) -> Bundle {
    fs::create_dir_all(bundle.rootfs("place/deep")).expect("make the working directory");
    fs::write(bundle.rootfs("place/deep/of"), "inside\n").expect("make a file in it");
    bundle.link("link", target);
    bundle.set("/process/cwd", "/place/deep".into());
    bundle
}

/// Checks the lines of [`AT`].
fn is_inside(lines: &[&str]) -> Verdict {
    match lines {
        [] => Ok(()),
        [at, "inside" | "nothing"] => expect(at.starts_with('/'), at),
        _ => Err(format!("{lines:?}")),
    }
}

fn working_directory_is_inside(t: &Test) {
    let mut outside = Outside::with(t, &["deep"], &["deep/of"]);
    for target in [outside.text().to_owned(), outside.relative()] {
        let bundle = with_working_directory(looking(t, AT), &target);
        race(t, &bundle, ["place", "link"], "/place/deep", &mut |output| {
            expect(!outside.was_changed(), "what lies outside is changed")?;
            is_inside(&output.stdout.lines().collect::<Vec<_>>())
        });
    }
}

fn working_directory_and_home_of_exec_are_inside(t: &Test) {
    let home = Outside::full(t).file("passwd", "root:x:0:0:root:/outside:/bin/sh\n");
    let mut outside = Outside::with(t, &["deep"], &["deep/of"]);
    let bundle = with_working_directory(t.bundle(&["sleep", "1000"]), outside.text());
    bundle.link("etc/link", &format!("{}/passwd", home.text()));
    bundle.own_all();
    t.run_detached(bundle.write(), "c").ok();
    let _passwd = Exchange::of(&bundle.rootfs("etc/passwd"), &bundle.rootfs("etc/link"));
    let exchange = Exchange::of(&bundle.rootfs("place"), &bundle.rootfs("link"));
    let mut check = |output: &Output| {
        expect(!outside.was_changed(), "what lies outside is changed")?;
        let lines: Vec<&str> = output.stdout.lines().collect();
        is_inside(&lines[..lines.len().min(2)])?;
        expect(lines.get(2).is_none_or(|home| ["/root", "/"].contains(home)), "HOME is of outside")
    };
    let script = format!("{AT}; echo $HOME");
    let exec = || t.exec(&["--cwd", "/place/deep"], "c", &["sh", "-c", &script]).output();
    race_of(&exchange, "/place/deep", &mut check, &mut || exec());
    drop(exchange);
    t.delete_force("c").ok();
}

fn home_is_of_the_image(t: &Test) {
    let outside = Outside::full(t).file("passwd", "root:x:0:0:root:/outside:/bin/sh\n");
    for (first, target) in [("etc", ""), ("etc/passwd", "/passwd")] {
        let bundle = looking(t, "echo $HOME");
        bundle.link("link", &format!("{}{target}", outside.text()));
        race(t, &bundle, [first, "link"], "passwd", &mut |output| match output.text() {
            "/root" | "/" | "" => Ok(()),
            other => Err(format!("HOME={other}")),
        });
    }
}

/// CVE-2025-31133.
fn null_device_of_the_image_masks_or_it_is_an_error(t: &Test) {
    let mut bundle = looking(t, "stat -c %t:%T /proc/version /proc/uptime");
    bundle.without_mount("/dev");
    let null = bundle.rootfs("dev/null");
    if t.account().uid == 0 {
        t.command("mknod").args(&["-m", "0666"]).arg(&null).args(&["c", "1", "3"]).output().ok();
    } else {
        fs::write(&null, "").expect("make a file to bind the device on");
    }
    bundle.link("dev/link", "/etc/passwd");
    bundle.set("/linux/maskedPaths", json!(["/proc/version", "/proc/uptime"]));
    race(t, &bundle, ["dev/null", "dev/link"], "/dev/null", &mut |output| match output.text() {
        "1:3\n1:3" => Ok(()),
        shown => expect(output.exit() != 0, &format!("masked by {shown}")),
    });
}

/// CVE-2025-52565.
fn console_of_the_image_leads_nowhere_outside(t: &Test) {
    let mut outside = Outside::full(t);
    let mut bundle = t.bundle(&["sleep", "1000"]);
    bundle.without_mount("/dev");
    fs::write(bundle.rootfs("dev/console"), "").expect("make the console");
    bundle.link("dev/link", &format!("{}/console", outside.text()));
    bundle.set("/process/terminal", true.into());
    bundle.own_all();
    let exchange = Exchange::of(&bundle.rootfs("dev/console"), &bundle.rootfs("dev/link"));
    let mut check = |output: &Output| {
        expect(!outside.was_changed(), "what lies outside is changed")?;
        if output.exit() != 0 {
            return Ok(());
        }
        let consoles = Mounts::parse(&output.stdout);
        let consoles = consoles.iter().filter(|mount| mount.kind == "devpts" && mount.root != "/");
        // On the file that had the name at that moment.
        let count = consoles.count();
        expect(count == 1, &format!("{count} terminals are mounted in the container"))
    };
    let mut number = 0;
    race_of(&exchange, "/dev/console", &mut check, &mut || {
        number += 1;
        created_with_terminal(t, &bundle, &exchange, &format!("console{number}.sock"))
    });
}

/// Creates a container with a terminal. Its mounts at that time are its output.
fn created_with_terminal(t: &Test, bundle: &Bundle, exchange: &Exchange, socket: &str) -> Output {
    let socket = Socket::listen(t, socket);
    let create = t.rootling(&["create", "--console-socket"]).arg(socket.path());
    let create = create.arg("--pid-file").arg(t.path("pid")).arg("-b").arg(bundle.write().dir());
    let mut output = create.arg(t.id("c")).output();
    if output.exit() == 0 {
        let _names = exchange.hold();
        let pid = fs::read_to_string(t.path("pid")).expect("read the pid file");
        output.stdout = fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("read its mounts");
        t.delete_force("c").ok();
    }
    output
}

/// A bind mount of `volume`.
fn volume_at(destination: &str, volume: &Outside) -> Value {
    json!({"destination": destination, "source": volume.text(), "type": "bind", "options": ["rbind", "rw"]})
}

fn volume_is_not_on_the_root(t: &Test) {
    volume_is_on_its_mount_point(t, "/");
}

fn volume_is_not_on_proc(t: &Test) {
    volume_is_on_its_mount_point(t, "/proc");
}

/// The mount point is exchanged with a link to `target` meanwhile.
fn volume_is_on_its_mount_point(t: &Test, target: &str) {
    let mut outside = Outside::like_dev(t);
    let directories = ["proc", "sys", "bin", "self", "sys/kernel"];
    let mut volume = Outside::with(t, &directories, &["version"]).link("dev", outside.dir());
    let mut bundle = looking(t, "cat /proc/self/mountinfo");
    fs::create_dir(bundle.rootfs("data")).expect("make the mount point");
    bundle.link("link", target);
    let mounts = bundle.config["mounts"].as_array_mut().expect("mounts are a list");
    mounts.insert(2, volume_at("/data", &volume));
    bundle.set("/linux/maskedPaths", json!(["/proc/version"]));
    bundle.set("/linux/readonlyPaths", json!(["/proc/sys"]));
    race(t, &bundle, ["data", "link"], "/data", &mut |output| {
        expect(!outside.was_changed(), "what lies outside is changed")?;
        expect(!volume.was_changed(), "the volume is changed")?;
        if output.exit() != 0 {
            return Ok(());
        }
        let mounts = Mounts::parse(&output.stdout);
        let volumes = mounts.iter().filter(|mount| Path::new(&mount.root).file_name() == Some(volume.name()));
        let points: Vec<&str> = volumes.map(|mount| mount.point.as_str()).collect();
        expect(points == ["/data"], &format!("the volume is on {points:?}"))?;
        expect(mounts.count("/") == 1, "a mount is on the root")?;
        is_covered(&mounts, "proc", "/proc", &["/proc/version"], &["/proc/sys"])
    });
}
