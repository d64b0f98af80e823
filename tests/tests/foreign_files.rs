//! Root file systems that were unpacked by somebody else: their files belong to ids that the container does not
//! have.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use nix::unistd::geteuid;
use rootling_tests::{Bundle, Ids, Test, skip, user};

user!(
    root_of_another_is_said_before_the_start,
    closed_directory_of_another_on_the_way_to_the_program_is_named,
    place_that_belongs_to_another_takes_no_mount_point,
    closed_root_of_another_is_named,
    closed_directory_above_the_root_is_named_with_its_owner,
    closed_bundle_of_another_is_named,
    ids_of_the_callers_own_range_are_to_be_mapped,
);

/// An id in nobody's range.
const ANOTHER: u32 = 2_000_000_000;

/// Whether the tests can give files to another user.
fn can_give_away() -> bool {
    if !geteuid().is_root() {
        skip("only root can give files to another user");
    }
    geteuid().is_root()
}

fn give(path: &Path, id: u32, mode: u32) {
    chown(path, Some(id), Some(id)).expect("chown");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
}

/// The command that makes the caller own the files of the bundle.
fn remedy(t: &Test, bundle: &Bundle) -> String {
    format!("chown -R {}:{} {:?}", t.account().uid, t.account().gid, bundle.rootfs(""))
        .replace("rootfs/\"", "rootfs\"")
}

fn root_of_another_is_said_before_the_start(t: &Test) {
    if !can_give_away() {
        return;
    }
    let mut bundle = t.bundle(&["echo", "ran"]);
    give(&bundle.rootfs(""), ANOTHER, 0o755);
    let output = t.run(bundle.write()).ok();
    assert_eq!(output.stdout, "ran\n");
    assert_eq!(output.stderr.lines().count(), 1, "{output}");
    let owner = format!("belongs to {ANOTHER}:{ANOTHER}");
    for part in ["root.path: ", &owner, "nobody", &remedy(t, &bundle)] {
        assert!(output.stderr.contains(part), "no {part:?}: {output}");
    }
    // A container that only reads it lacks nothing.
    bundle.set("/root/readonly", true.into());
    assert_eq!(t.run(bundle.write()).ok().stderr, "");
}

fn closed_directory_of_another_on_the_way_to_the_program_is_named(t: &Test) {
    if !can_give_away() {
        return;
    }
    let bundle = t.bundle(&["/opt/a/b/program"]);
    fs::create_dir_all(bundle.rootfs("opt/a/b")).expect("make directories");
    fs::copy(bundle.rootfs("bin/busybox"), bundle.rootfs("opt/a/b/program")).expect("copy a program");
    give(&bundle.rootfs("opt"), ANOTHER, 0o700);
    let closed = format!(
        "{:?}, 3 levels above \"/opt/a/b/program\", belongs to {ANOTHER}:{ANOTHER}",
        bundle.rootfs("opt")
    );
    let output = t.run(bundle.write()).code(126);
    output.fails_with(&[
        "permission denied",
        &closed,
        "0700",
        "that the container does not have",
        &remedy(t, &bundle),
    ]);
    // Through a link in the image.
    let mut bundle = t.bundle(&["sh"]);
    fs::rename(bundle.rootfs("bin"), bundle.rootfs("usr/real")).expect("move a directory");
    bundle.link("bin", "/usr/real");
    give(&bundle.rootfs("usr"), ANOTHER, 0o700);
    bundle.set("/process/args/0", "/bin/sh".into());
    let closed = format!("{:?}, 2 levels above \"/usr/real/sh\", belongs to", bundle.rootfs("usr"));
    t.run(bundle.write()).fails_with(&[&closed]);
}

fn place_that_belongs_to_another_takes_no_mount_point(t: &Test) {
    if !can_give_away() {
        return;
    }
    let mut bundle = t.bundle(&["true"]);
    bundle.mount("/srv/data", "tmpfs", "tmpfs", &[]);
    bundle.set("/root/readonly", true.into()).write();
    give(&bundle.rootfs(""), ANOTHER, 0o755);
    let root = remedy(t, &bundle);
    let root = root.rsplit(' ').next().expect("the root file system");
    let closed = format!("{root}, 1 level above \"/srv\", belongs to {ANOTHER}:{ANOTHER}");
    t.run(&bundle).fails_with(&[
        "make /srv in the root file system: EACCES",
        &closed,
        "0755",
        &remedy(t, &bundle),
    ]);
}

fn closed_root_of_another_is_named(t: &Test) {
    if !can_give_away() {
        return;
    }
    let bundle = t.bundle(&["true"]);
    give(&bundle.rootfs(""), ANOTHER, 0o700);
    let output = t.run(bundle.write());
    let owner = format!("belongs to {ANOTHER}:{ANOTHER} (mode 0700)");
    output.fails_with(&["root.path: ", &owner, "that the container does not have", &remedy(t, &bundle)]);
}

fn closed_directory_above_the_root_is_named_with_its_owner(t: &Test) {
    if !can_give_away() {
        return;
    }
    let mut bundle = t.bundle(&["true"]);
    let above = t.path("above");
    fs::create_dir_all(above.join("images")).expect("make directories");
    fs::rename(bundle.rootfs(""), above.join("images/one")).expect("move the root file system");
    bundle.set("/root/path", above.join("images/one").to_string_lossy().into());
    give(&above, ANOTHER, 0o700);
    let named = format!("{above:?}, 2 levels above it, belongs to {ANOTHER}:{ANOTHER} (mode 0700)");
    t.run(bundle.write()).fails_with(&["root.path: ", &named, "chmod o+x"]);
}

fn closed_bundle_of_another_is_named(t: &Test) {
    if !can_give_away() {
        return;
    }
    let bundle = t.bundle(&["true"]);
    give(bundle.write().dir(), ANOTHER, 0o700);
    let named = format!("{:?}, 1 level above it, belongs to {ANOTHER}:{ANOTHER} (mode 0700)", bundle.dir());
    t.run(&bundle).fails_with(&["config.json: cannot be read", &named, "chmod o+x"]);
}

fn ids_of_the_callers_own_range_are_to_be_mapped(t: &Test) {
    let Some(Ids::Ranges { uid, .. }) = t.account().ranges() else {
        return skip("the user has no range in /etc/subuid and /etc/subgid");
    };
    if !can_give_away() {
        return;
    }
    let bundle = t.bundle(&["sh"]);
    give(&bundle.rootfs("bin"), uid + 5, 0o700);
    let output = t.run(bundle.write());
    output.fails_with(&["\"/bin/sh\"", &format!("belongs to {0}:", uid + 5), "--userns auto"]);
    assert!(!output.stderr.contains("chown"), "{output}");
}
