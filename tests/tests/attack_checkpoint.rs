//! Checkpoint and restore of an image that tries to make a program of the host run, or one of its files mounted:
//! CRIU works as the caller, with names and options that rootling passes to it. (CVE-2026-119101 and similar.)

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rootling_tests::mountinfo::Mounts;
use rootling_tests::{Bundle, Cmd, Output, Outside, Test, both, has_criu, root};
use serde_json::json;

both!(file_of_options_for_criu_executes_nothing);
root!(
    restore_binds_each_source_where_it_was_whatever_links_say_by_then,
    mount_point_with_the_end_of_a_key_in_it_is_an_error,
    restore_makes_no_mount_point_in_what_is_read_only,
);

/// CRIU runs as the caller, and executes the program that its option `action-script` names.
fn file_of_options_for_criu_executes_nothing(t: &Test) {
    let mut bundle = t.bundle(&["sleep", "1000000"]);
    // A file in the image, at a path on the host that the image's maker may know.
    let (evil, options) = (bundle.rootfs("evil"), bundle.rootfs("criu.conf"));
    let shows = t.path("ran");
    fs::write(&evil, format!("#!/bin/sh\necho ran >{}\n", shows.display())).expect("write a script");
    fs::set_permissions(&evil, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    bundle.set("/annotations", json!({"org.criu.config": options})).write();
    t.run_detached(&bundle, "c").ok();
    for line in [
        format!("action-script {}", evil.display()),
        format!("action-script={}", evil.display()),
        format!("action-sc {}", evil.display()),
        format!("tcp-close --action-script={}", evil.display()),
        format!("libdir {}", bundle.rootfs("").display()),
        "external mnt[/]:/etc".to_owned(),
        "log-file /etc/cron.d/evil".to_owned(),
    ] {
        fs::write(&options, format!("tcp-established\n{line}\n")).expect("write options");
        let checkpoint = t.rootling(&["checkpoint", "--image-path"]).arg(t.path("images")).arg(t.id("c"));
        checkpoint.output().fails_with(&["org.criu.config", "line 2"]);
        let restore = t.rootling(&["restore", "--image-path"]).arg(t.path("images"));
        restore
            .arg("-b")
            .arg(bundle.dir())
            .arg(t.id("d"))
            .output()
            .fails_with(&["org.criu.config", "line 2"]);
    }
    assert!(!shows.exists(), "CRIU executed a program of the image");
    assert_eq!(t.status("c"), "running");
    t.delete_force("c").ok();
}

/// Starts the bundle with streams that need not be saved.
fn start(t: &Test, bundle: &Bundle) {
    let create = t.rootling(&["create", "-b"]).arg(bundle.dir()).arg(t.id("c"));
    let create = create.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    create.output().ok();
    t.start("c").ok();
}

fn checkpoint(t: &Test) -> Output {
    let mode = "--manage-cgroups-mode=ignore";
    t.rootling(&["checkpoint", mode, "--image-path"]).arg(t.path("images")).arg(t.id("c")).output()
}

fn restore(t: &Test, bundle: &Bundle) -> Cmd {
    let mode = "--manage-cgroups-mode=ignore";
    let restore = t.rootling(&["restore", "-d", mode, "--image-path"]).arg(t.path("images"));
    restore.arg("-b").arg(bundle.dir()).arg(t.id("c")).limit(Duration::from_mins(1))
}

/// A program that does nothing, in a single process. A sleep(1) would end when it is restored, because CRIU
/// interrupts its system call.
const IDLE: [&str; 3] = ["sh", "-c", "mkfifo /tmp/p; exec 3<>/tmp/p; while :; do read -t 1 _ <&3; done"];

fn link(target: &str, path: &Path) {
    let _ = fs::remove_file(path);
    symlink(target, path).expect("make a link");
}

/// While nothing is running, anybody who can write to the root file system can redirect its links.
fn restore_binds_each_source_where_it_was_whatever_links_say_by_then(t: &Test) {
    if !has_criu(t) {
        return;
    }
    let outside = Outside::with(t, &[], &["secret", "open"]);
    let mut bundle = t.bundle(&IDLE);
    for directory in ["p", "q"] {
        fs::create_dir(bundle.rootfs(directory)).expect("make a directory");
        fs::write(bundle.rootfs(&format!("{directory}/f")), "").expect("make a file");
    }
    link("/p", &bundle.rootfs("a"));
    link("/q", &bundle.rootfs("b"));
    let source = |name: &str| outside.dir().join(name).to_string_lossy().into_owned();
    bundle.mount("/a/f", "bind", &source("secret"), &["bind", "ro"]);
    bundle.mount("/b/f", "bind", &source("open"), &["bind", "rw"]);
    bundle.write();
    start(t, &bundle);
    let seen = |t: &Test| {
        let pid = t.state("c")["pid"].to_string();
        let mounts = Mounts::parse(&fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("mountinfo"));
        let text =
            |path: &str| fs::read_to_string(format!("/proc/{pid}/root{path}")).expect("what is mounted");
        for (point, name, readonly) in [("/p/f", "secret", true), ("/q/f", "open", false)] {
            assert_eq!(text(point), format!("{name} of outside\n"), "{point}");
            assert_eq!(mounts.at(point).options.contains("ro"), readonly, "{point}");
        }
    };
    seen(t);
    checkpoint(t).ok();
    link("/q", &bundle.rootfs("a"));
    link("/p", &bundle.rootfs("b"));
    restore(t, &bundle).output().ok();
    seen(t);
    let write = t.exec(&[""; 0], "c", &["sh", "-c", "echo changed >/p/f"]).output();
    assert!(write.stderr.contains("Read-only file system"), "{write}");
    outside.assert_unchanged(&"a restore with other links");
    t.delete_force("c").ok();
}

/// A link in the image leads the mount to a path that ends one of CRIU's keys early and begins another value.
fn mount_point_with_the_end_of_a_key_in_it_is_an_error(t: &Test) {
    if !has_criu(t) {
        return;
    }
    let outside = Outside::with(t, &[], &["hosts", "data", "victim"]);
    let mut bundle = t.bundle(&IDLE);
    let value = format!("{}/evil]:/data", bundle.rootfs("").display());
    let target = format!("/etc/hosts]:{value}");
    let inside = bundle.rootfs(target.trim_start_matches('/'));
    fs::create_dir_all(inside.parent().expect("a parent")).expect("make directories");
    fs::write(&inside, "").expect("make a file");
    fs::create_dir_all(bundle.rootfs("evil]:")).expect("make a directory");
    link(&outside.dir().join("victim").to_string_lossy(), &bundle.rootfs("evil]:/data"));
    link(&target, &bundle.rootfs("data"));
    let source = |name: &str| outside.dir().join(name).to_string_lossy().into_owned();
    bundle.mount("/etc/hosts", "bind", &source("hosts"), &["bind", "rw"]);
    bundle.mount("/data", "bind", &source("data"), &["bind", "rw"]);
    bundle.write();
    start(t, &bundle);
    checkpoint(t).fails_with(&[
        "mount point \"/etc/hosts]:",
        "CRIU cannot tell it from others",
        "mount at another path",
    ]);
    assert_eq!(t.status("c"), "running");
    t.delete_force("c").ok();
}

/// The source of a read-only bind mount belongs to somebody else, who wants it to be shown but not changed.
fn restore_makes_no_mount_point_in_what_is_read_only(t: &Test) {
    if !has_criu(t) {
        return;
    }
    let volume = t.open_directory("volume");
    fs::create_dir(volume.join("point")).expect("make a mount point");
    let mut bundle = t.bundle(&IDLE);
    bundle.mount("/volume", "bind", &volume.to_string_lossy(), &["bind", "ro"]);
    bundle.mount("/volume/point", "tmpfs", "tmpfs", &[]);
    bundle.write();
    start(t, &bundle);
    checkpoint(t).ok();
    fs::remove_dir(volume.join("point")).expect("remove the mount point");
    let output = restore(t, &bundle).output();
    assert!(output.exit() != 0 && output.stderr.contains("criu failed"), "{output}");
    assert_eq!(fs::read_dir(&volume).expect("read the volume").count(), 0, "the source was changed");
}
