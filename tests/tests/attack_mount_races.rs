//! Mount points that the image lacks are made, and a tmpfs is filled with what the image has (`tmpcopyup`), while
//! somebody who shares the image or a volume exchanges a directory with a link. Nothing outside is made, changed or
//! read, and nothing that a mask covers in a kernel file system gets into a copy. See also attack_races.rs.

use std::fs;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use rootling_tests::mountinfo::Mounts;
use rootling_tests::race::{Verdict, expect, looking, race, race_of, slowed, start, start_under};
use rootling_tests::{Bundle, Exchange, Output, Outside, Test, both};
use serde_json::json;

both!(
    mount_points_are_made_inside_the_image,
    mount_points_are_made_inside_the_image_with_a_hook,
    mount_points_are_made_inside_a_volume,
    copy_in_a_tmpfs_is_not_of_outside,
    copy_in_a_tmpfs_is_not_of_masked_files_of_proc,
    copy_in_a_tmpfs_follows_no_link_in_the_place_of_a_directory,
    copy_in_a_tmpfs_does_not_wait_for_a_pipe,
);

/// Mounts at points below `place` that do not exist: a directory, a file, and one that needs a parent directory.
fn mounts_to_make_points_for(t: &Test, bundle: &mut Bundle, place: &str) {
    let file = t.path("bound").display().to_string();
    fs::write(&file, "").expect("write the file to bind");
    bundle.mount(&format!("{place}/made"), "tmpfs", "tmpfs", &[]);
    bundle.mount(&format!("{place}/file"), "bind", &file, &["bind"]);
    bundle.mount(&format!("{place}/on/the/way"), "bind", &file, &["bind"]);
}

/// Checks that nothing was made outside, and that what was started has each mount once, in the root or below
/// /volume.
fn made_inside(outside: &mut Outside, output: &Output) -> Verdict {
    expect(!outside.was_changed(), "something was made outside")?;
    if output.exit() != 0 {
        return Ok(());
    }
    let mounts = Mounts::parse(&output.stdout);
    for name in ["made", "file", "on/the/way"] {
        let points = mounts.iter().filter(|mount| mount.point.ends_with(&format!("/{name}")));
        let points: Vec<&str> = points.map(|mount| mount.point.as_str()).collect();
        expect(points.len() == 1, &format!("{name} is on {points:?}"))?;
    }
    Ok(())
}

/// The directory to which the link leads contains the expected directory, but none of the mount points.
fn with_deep(t: &Test) -> Outside {
    Outside::with(t, &["deep"], &["deep/kept"])
}

/// CVE-2024-45310, CVE-2026-87766.
fn mount_points_are_made_inside_the_image(t: &Test) {
    let mut outside = with_deep(t);
    for target in [outside.text().to_owned(), outside.relative()] {
        let bundle = with_points_to_make(t, &target);
        points_are_made_inside(t, &bundle, &mut outside, &[]);
    }
}

/// With a hook they are made while the host is still visible, to which a link could lead.
fn mount_points_are_made_inside_the_image_with_a_hook(t: &Test) {
    let mut outside = with_deep(t);
    let mut bundle = with_points_to_make(t, outside.text());
    bundle.set("/hooks/createContainer", json!([{"path": "/bin/true"}]));
    points_are_made_inside(t, &bundle, &mut outside, &slowed(t, "mkdirat", &[]));
}

/// A bundle with mounts at points below a directory of the image, and with a link to `target`.
fn with_points_to_make(t: &Test, target: &str) -> Bundle {
    let mut bundle = looking(t, "cat /proc/self/mountinfo");
    fs::create_dir_all(bundle.rootfs("place/deep")).expect("make a directory of the image");
    bundle.link("link", target);
    mounts_to_make_points_for(t, &mut bundle, "/place/deep");
    bundle
}

/// The directory is exchanged with the link meanwhile.
fn points_are_made_inside(t: &Test, bundle: &Bundle, outside: &mut Outside, under: &[String]) {
    bundle.own_all();
    bundle.write();
    let exchange = Exchange::of(&bundle.rootfs("place"), &bundle.rootfs("link"));
    let mut check = |output: &Output| made_inside(outside, output);
    race_of(&exchange, "/place/deep", &mut check, &mut || {
        let output = start_under(t, bundle, &exchange, under);
        remove_points(&exchange, &bundle.rootfs("place/deep"));
        output
    });
}

/// In a volume that other containers share, and that is bind-mounted first.
fn mount_points_are_made_inside_a_volume(t: &Test) {
    let mut outside = with_deep(t);
    for target in [outside.text().to_owned(), outside.relative()] {
        let mut bundle = looking(t, "cat /proc/self/mountinfo");
        let volume = t.open_directory(&format!("volume{}", target.len()));
        fs::create_dir_all(volume.join("place/deep")).expect("make a directory of the volume");
        std::os::unix::fs::symlink(&target, volume.join("link")).expect("make the link");
        let owner = t.account().uid.to_string();
        let chown = std::process::Command::new("chown").args(["-hR", &owner]).arg(&volume).status();
        assert!(chown.expect("start chown").success(), "chown of the volume");
        bundle.mount("/volume", "bind", &volume.to_string_lossy(), &["bind"]);
        mounts_to_make_points_for(t, &mut bundle, "/volume/place/deep");
        bundle.write();
        let exchange = Exchange::of(&volume.join("place"), &volume.join("link"));
        let mut check = |output: &Output| made_inside(&mut outside, output);
        race_of(&exchange, "/volume/place/deep", &mut check, &mut || {
            let output = start(t, &bundle, &exchange);
            remove_points(&exchange, &volume.join("place/deep"));
            output
        });
    }
}

/// Removes the points, so that the next start has to make them.
fn remove_points(exchange: &Exchange, dir: &std::path::Path) {
    let _names = exchange.hold();
    fs::remove_dir_all(dir).expect("remove the mount points");
    fs::create_dir(dir).expect("make the directory anew");
}

/// A bundle that has a tmpfs on /full with a copy of what the image has there, and prints the contents of all files
/// in it, and the names of those without contents.
fn with_copy(t: &Test) -> Bundle {
    let mut bundle = looking(t, "find /full -type f -exec cat {} +; find /full -type f -size 0");
    fs::create_dir(bundle.rootfs("full")).expect("make the directory to copy");
    fs::write(bundle.rootfs("full/file"), "inside\n").expect("make a file to copy");
    bundle.mount("/full", "tmpfs", "tmpfs", &["tmpcopyup"]);
    bundle
}

/// The copy contains the files of the image or none: where the name led at that moment, there may be none inside.
fn of_the_image(output: &Output) -> Verdict {
    let known = output.exit() != 0 || output.stdout.lines().all(|line| line == "inside");
    expect(known, &format!("in the copy is {:?}", output.stdout))
}

/// CVE-2026-133553.
fn copy_in_a_tmpfs_is_not_of_outside(t: &Test) {
    let mut outside = Outside::full(t);
    for target in [outside.text().to_owned(), outside.relative()] {
        let bundle = with_copy(t);
        bundle.link("link", &target);
        race(t, &bundle, ["full", "link"], "/full", &mut |output| {
            expect(!outside.was_changed(), "what lies outside is changed")?;
            of_the_image(output)
        });
    }
}

/// With a hook the copy is made while the host is still visible.
fn copy_in_a_tmpfs_follows_no_link_in_the_place_of_a_directory(t: &Test) {
    let outside = Outside::full(t);
    let mut bundle = with_copy(t);
    fs::create_dir(bundle.rootfs("full/directory")).expect("make a directory to copy");
    fs::write(bundle.rootfs("full/directory/file"), "inside\n").expect("make a file in it");
    bundle.link("full/link", outside.text());
    bundle.set("/hooks/createContainer", json!([{"path": "/bin/true"}]));
    let slow = slowed(t, "openat", &["directory", "link"]);
    slow_race(t, &bundle, ["full/directory", "full/link"], &slow);
}

/// A directory in proc that a mask covers once everything is mounted: a copy that is made earlier would have no
/// mask.
fn copy_in_a_tmpfs_is_not_of_masked_files_of_proc(t: &Test) {
    for target in ["/proc/irq", "proc/tty"] {
        let mut bundle = with_copy(t);
        bundle.set("/linux/maskedPaths", json!(["/proc/irq", "/proc/tty"])).remove("/linux/readonlyPaths");
        bundle.link("link", target);
        slow_race(t, &bundle, ["full", "link"], &slowed(t, "openat2", &["full"]));
    }
}

/// A race for the contents of the copy, under another command.
fn slow_race(t: &Test, bundle: &Bundle, [first, second]: [&str; 2], under: &[String]) {
    bundle.own_all();
    bundle.write();
    let exchange = Exchange::of(&bundle.rootfs(first), &bundle.rootfs(second));
    race_of(&exchange, "/full", &mut of_the_image, &mut || start_under(t, bundle, &exchange, under));
}

/// A regular file that has become a pipe when it is opened: nobody ever writes to it.
fn copy_in_a_tmpfs_does_not_wait_for_a_pipe(t: &Test) {
    let bundle = with_copy(t);
    mkfifo(&bundle.rootfs("full/pipe"), Mode::from_bits_truncate(0o666)).expect("make a pipe");
    slow_race(t, &bundle, ["full/file", "full/pipe"], &slowed(t, "openat", &["file", "pipe"]));
}
