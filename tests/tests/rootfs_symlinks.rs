//! A root file system whose directories are symbolic links: the result is an error or a container, never a change
//! outside.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};

use rootling_tests::{Bundle, Test, both, snapshot};
use serde_json::json;

both!(
    absolute_link_changes_nothing_outside,
    relative_link_upwards_changes_nothing_outside,
    link_to_itself_is_an_error,
    links_in_a_circle_are_an_error,
    mount_below_a_link_changes_nothing_outside,
    working_directory_behind_a_link_stays_inside,
    dangling_link_is_created_inside_only,
);

const DIRECTORIES: [&str; 4] = ["dev", "proc", "sys", "etc"];

/// A directory tree of the account next to the bundle, with the names that a runtime would touch.
fn canary(t: &Test) -> PathBuf {
    let canary = t.path("canary");
    for name in ["pts", "shm", "mqueue", "fs/cgroup", "sys/kernel", "self"] {
        fs::create_dir_all(canary.join(name)).expect("make the canary");
    }
    for name in ["null", "passwd", "group", "resolv.conf", "kcore", "console", "sysrq-trigger"] {
        fs::write(canary.join(name), name).expect("make the canary");
    }
    for path in snapshot::take(&canary).keys() {
        chown(path, Some(t.account().uid), Some(t.account().gid)).expect("chown of the canary");
    }
    canary
}

/// Replaces a directory of the root file system with a link to `target`.
fn replace(bundle: &Bundle, directory: &str, target: &str) {
    let path = bundle.rootfs(directory);
    fs::remove_dir_all(&path).expect("remove the directory");
    symlink(target, &path).expect("make the link");
}

/// Runs the bundle; what is outside must not change, and a failure must be one line.
fn nothing_outside_changes(t: &Test, bundle: &Bundle, canary: &Path) {
    let before = snapshot::take(canary);
    let output = t.run(bundle.write());
    snapshot::assert_unchanged(canary, &before, &output);
    if output.exit() != 0 {
        output.fails_with(&[]);
    }
}

fn absolute_link_changes_nothing_outside(t: &Test) {
    let canary = canary(t);
    for directory in DIRECTORIES {
        let bundle = t.bundle(&["true"]);
        replace(&bundle, directory, canary.to_str().expect("a path in UTF-8"));
        nothing_outside_changes(t, &bundle, &canary);
    }
}

fn relative_link_upwards_changes_nothing_outside(t: &Test) {
    let canary = canary(t);
    for directory in DIRECTORIES {
        let bundle = t.bundle(&["true"]);
        replace(&bundle, directory, "../../canary");
        nothing_outside_changes(t, &bundle, &canary);
    }
}

fn link_to_itself_is_an_error(t: &Test) {
    // Nothing is mounted on etc, so it may be anything.
    for directory in ["dev", "proc", "sys"] {
        let bundle = t.bundle(&["true"]);
        replace(&bundle, directory, directory);
        t.run(bundle.write()).fails_with(&[directory]);
    }
}

fn links_in_a_circle_are_an_error(t: &Test) {
    for directory in ["dev", "proc", "sys"] {
        let bundle = t.bundle(&["true"]);
        replace(&bundle, directory, "circle");
        symlink(directory, bundle.rootfs("circle")).expect("make the link");
        t.run(bundle.write()).fails_with(&[directory]);
    }
}

fn mount_below_a_link_changes_nothing_outside(t: &Test) {
    let canary = canary(t);
    let canary_text = canary.to_str().expect("a path in UTF-8");
    for target in [canary_text, "../../canary"] {
        let mut bundle = t.bundle(&["true"]);
        symlink(target, bundle.rootfs("link")).expect("make the link");
        let mounts = [("/link/made", "tmpfs"), ("/link/pts", "tmpfs"), ("/link", "tmpfs")];
        for (destination, kind) in mounts {
            bundle.set("/mounts/-", json!({"destination": destination, "type": kind, "source": kind}));
        }
        // A bind mount of a file makes the file that it is mounted on.
        let bind = json!({"destination": "/link/file", "source": "/etc/passwd", "options": ["bind"]});
        bundle.set("/mounts/-", bind);
        nothing_outside_changes(t, &bundle, &canary);
    }
}

fn working_directory_behind_a_link_stays_inside(t: &Test) {
    let canary = canary(t);
    for cwd in ["/link", "/link/made"] {
        let mut bundle = t.bundle(&["true"]);
        symlink(&canary, bundle.rootfs("link")).expect("make the link");
        bundle.set("/process/cwd", cwd.into());
        nothing_outside_changes(t, &bundle, &canary);
    }
}

fn dangling_link_is_created_inside_only(t: &Test) {
    for directory in DIRECTORIES {
        let bundle = t.bundle(&["true"]);
        let outside = t.path("made-outside");
        replace(&bundle, directory, outside.to_str().expect("a path in UTF-8"));
        let output = t.run(bundle.write());
        assert!(!outside.exists(), "made outside the rootfs: {output}");
    }
}
