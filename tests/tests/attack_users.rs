//! Groups that restrict their members, and programs in an image that would give whoever executes them another user,
//! group or capability.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::geteuid;
use rootling_tests::{Bundle, Output, Test, Variation, both, skip, user};
use serde_json::{Value, json};

both!(
    groups_of_the_caller_are_dropped_unless_they_are_asked_for,
    primary_group_is_among_the_groups_that_spec_writes,
    inheritable_capabilities_of_a_file_give_a_program_of_exec_nothing,
    set_user_id_program_gains_nothing_without_new_privileges,
);
user!(group_of_the_caller_cannot_be_given_up);

/// setgroups(2).
const SETGROUPS: i64 = libc::SYS_setgroups;

/// Whether a file in the bundle can give another id or a capability. Prints a message if not.
fn files_give_privileges(bundle: &Bundle) -> bool {
    let flags = statvfs(bundle.dir()).expect("statvfs of the bundle").flags();
    let without = flags.contains(FsFlags::ST_NOSUID);
    if without {
        skip("the directory of the tests is mounted with nosuid, so no file gives privileges");
    }
    !without
}

/// A group that no account of this machine has.
const GROUP: u32 = 61_234;

/// CVE-2014-8989: a file that everybody may read except for a group of the caller. The caller's container cannot
/// read it either, and cannot drop the group.
fn group_of_the_caller_cannot_be_given_up(t: &Test) {
    let Some(member) = Variation::of(t) else { return };
    let Some(stranger) = Variation::of(t) else { return };
    let file = t.path("closed-to-the-group");
    fs::write(&file, "text of the file\n").expect("write the file");
    chown(&file, Some(0), Some(GROUP)).expect("chown of the file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o604)).expect("chmod of the file");
    // setgroups(0, NULL), here and in another user namespace.
    let call = format!("probe call {SETGROUPS},0,0");
    let script = format!(
        "cat /file; {call}; cat /file; unshare -Ur sh -c 'cat /file; {call}; cat /file'; \
         unshare -U sh -c '{call}; cat /file'; true"
    );
    let mut bundle = t.shell(&script);
    t.with_probe(&bundle);
    fs::write(bundle.rootfs("file"), "").expect("make the mount point");
    bundle.own_all();
    bundle.mount("/file", "bind", &file.to_string_lossy(), &["bind"]);
    bundle.capabilities(&["CAP_SETGID", "CAP_SETUID", "CAP_SETFCAP", "CAP_SYS_ADMIN"]).write();
    let output = member.group(GROUP).run(t.run_command(&bundle)).output().ok();
    assert!(!output.stdout.contains("text"), "{output}");
    assert_eq!(output.stdout, "EPERM\nEPERM\nEPERM\n", "{output}");
    assert_eq!(output.stderr.matches("Permission denied").count(), 5, "{output}");
    // The group is what prevents access.
    let output = stranger.run(t.run_command(&bundle)).output().ok();
    assert_eq!(output.stdout.matches("text of the file\n").count(), 5, "{output}");
}

/// A program that was not given a group cannot read a file that only this group of the caller may read.
fn groups_of_the_caller_are_dropped_unless_they_are_asked_for(t: &Test) {
    if Variation::of(t).is_none() {
        return;
    }
    let member = || Variation::of(t).expect("as before").group(GROUP);
    let file = t.path("open-to-the-group");
    fs::write(&file, "text of the file\n").expect("write the file");
    chown(&file, Some(OTHER), Some(GROUP)).expect("chown of the file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("chmod of the file");
    let mut bundle = t.shell("cat /file; true");
    bundle.mount("/file", "bind", &file.to_string_lossy(), &["bind"]);
    // Without ranges nobody may drop groups.
    if !bundle.many_ids() {
        return;
    }
    bundle.remove("/process/capabilities");
    for (keep, expected) in [("0", ""), ("1", "text of the file\n")] {
        bundle.set("/annotations", json!({"run.oci.keep_original_groups": keep})).write();
        let output = member().run(t.run_command(&bundle)).output().ok();
        assert_eq!(output.stdout, expected, "keep_original_groups={keep}: {output}");
    }
    // Engines add the annotation to a configuration that has groups.
    bundle.set("/process/user/additionalGids", json!([1])).write();
    let output = member().run(t.run_command(&bundle)).output().ok();
    assert_eq!(output.stdout, "text of the file\n", "beside additionalGids: {output}");
}

/// The id of nobody on most machines.
const OTHER: u32 = 65_534;

/// An image with a user `web` who is also in group 7, with a file that the user's primary group may not read, and
/// with a program that is executed as group 7.
fn image_with_groups(t: &Test) -> Option<Bundle> {
    // As root of the container, who owns each id there no matter who runs the tests.
    let mut bundle = t.shell(
        "set -e; chown 0:33 /closed; chmod 0604 /closed; chown 0:7 /bin/set-group; chmod 2755 /bin/set-group",
    );
    fs::write(bundle.rootfs("etc/passwd"), "root:x:0:0::/:/bin/sh\nweb:x:33:33::/:/bin/sh\n")
        .expect("accounts");
    fs::write(bundle.rootfs("etc/group"), "root:x:0:\nweb:x:33:\ntape:x:7:web\n").expect("groups");
    fs::write(bundle.rootfs("closed"), "text of the file\n").expect("write the file");
    t.with_probe(&bundle);
    fs::copy(bundle.rootfs("bin/probe"), bundle.rootfs("bin/set-group")).expect("copy the program");
    bundle.own_all();
    if !files_give_privileges(&bundle) || !bundle.many_ids() {
        return None;
    }
    bundle.capabilities(&["CAP_CHOWN", "CAP_FSETID", "CAP_FOWNER", "CAP_DAC_OVERRIDE"]);
    t.run(bundle.write()).ok();
    bundle.set("/process/noNewPrivileges", false.into());
    Some(bundle)
}

/// CVE-2022-2989: a set-group-id program has another primary group, so that whoever executes it would lose a group
/// that may read less than others.
fn primary_group_is_among_the_groups_that_spec_writes(t: &Test) {
    let Some(mut bundle) = image_with_groups(t) else { return };
    bundle.set("/process/args", json!(["set-group", "read", "/closed", "/proc/self/status"]));
    // Without the group in the list it works, which is the flaw that engines had.
    bundle.set("/process/user", json!({"uid": 33, "gid": 33, "additionalGids": [7]}));
    let output = t.run(bundle.write()).ok();
    assert!(output.stdout.starts_with("text of the file\n"), "{output}");
    // Removed so that `spec` writes one.
    fs::remove_file(bundle.dir().join("config.json")).expect("remove the configuration");
    t.rootling(&["spec", "--user", "web", "-b"]).arg(bundle.dir()).output().ok();
    let written = fs::read_to_string(bundle.dir().join("config.json")).expect("what spec has written");
    let written: Value = serde_json::from_str(&written).expect("a configuration");
    bundle.set("/process/user", written["process"]["user"].clone());
    let output = t.run(bundle.write()).ok();
    assert!(output.stdout.starts_with("/closed: EACCES\n"), "{}: {output}", written["process"]["user"]);
    let groups = of_status(&output, "Groups:");
    assert!(groups.contains(&"33") && groups.contains(&"7"), "{groups:?}: {output}");
}

/// The words of a line in /proc/self/status.
fn of_status<'a>(output: &'a Output, name: &str) -> Vec<&'a str> {
    let line = output.stdout.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {output}")).split_whitespace().collect()
}

/// CVE-2022-29162: capabilities of `exec --cap` are not inheritable, so a file with inheritable capabilities gives
/// none to a program of another user.
fn inheritable_capabilities_of_a_file_give_a_program_of_exec_nothing(t: &Test) {
    if !geteuid().is_root() {
        return skip("only root can give a file capabilities");
    }
    let mut bundle = t.bundle(&["sleep", "1000"]);
    t.with_probe(&bundle);
    if !files_give_privileges(&bundle) || !bundle.many_ids() {
        return;
    }
    if !give_capability(&bundle.rootfs("bin/probe"), t.account().uid) {
        return;
    }
    bundle.set("/process/noNewPrivileges", false.into());
    bundle.capabilities(&["CAP_CHOWN", "CAP_KILL"]);
    t.run_detached(bundle.write(), "c").ok();
    let flags = ["--cap", "CAP_CHOWN", "-u", "1000"];
    let output = t.exec(&flags, "c", &["probe", "read", "/proc/self/status"]).output().ok();
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(of_status(&output, set), ["0000000000000000"], "{set} {output}");
    }
    t.delete_force("c").ok();
    // If the program has it in its inheritable set, the file does give it: CAP_CHOWN is 0.
    bundle.set("/process/capabilities/inheritable", json!(["CAP_CHOWN"]));
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    bundle.set("/process/args", json!(["probe", "read", "/proc/self/status"]));
    let output = t.run(bundle.write()).ok();
    assert_eq!(of_status(&output, "CapEff:"), ["0000000000000001"], "{output}");
}

/// Gives CAP_CHOWN, inheritable and effective, in the user namespace whose root is `root`. Prints a message if that
/// is not possible.
fn give_capability(program: &Path, root: u32) -> bool {
    // capability.h: the effective flag and version 3; permitted and inheritable, low and high; the id of the root
    // user.
    let words = [0x0300_0001_u32, 0, 1, 0, 0, root];
    let mut value = "0x".to_owned();
    for byte in words.iter().flat_map(|word| word.to_le_bytes()) {
        let _ = write!(value, "{byte:02x}");
    }
    let set =
        Command::new("setfattr").args(["-n", "security.capability", "-v", &value]).arg(program).output();
    let why = match set {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    skip(&format!("a file cannot be given capabilities by setfattr here: {}", why.trim()));
    false
}

fn set_user_id_program_gains_nothing_without_new_privileges(t: &Test) {
    let mut bundle = t.shell("chown 0:0 /bin/probe && chmod 6755 /bin/probe");
    t.with_probe(&bundle);
    if !files_give_privileges(&bundle) || !bundle.many_ids() {
        return;
    }
    bundle.capabilities(&["CAP_CHOWN", "CAP_FSETID", "CAP_SETUID", "CAP_SETGID", "CAP_KILL"]);
    t.run(bundle.write()).ok();
    bundle.set("/process/user", json!({"uid": 1000, "gid": 1000}));
    let status = ["probe", "read", "/proc/self/status"];
    for gains in [false, true] {
        bundle.set("/process/noNewPrivileges", (!gains).into());
        bundle.set("/process/args", json!(status));
        has_gained(&t.run(bundle.write()).ok(), gains);
        bundle.set("/process/args", json!(["sleep", "1000"]));
        t.run_detached(bundle.write(), "c").ok();
        has_gained(&t.exec::<&str>(&[], "c", &status).output().ok(), gains);
        t.delete_force("c").ok();
    }
}

/// Asserts whether the program is another user and group and has capabilities.
fn has_gained(output: &Output, gains: bool) {
    let id = if gains { "0" } else { "1000" };
    for name in ["Uid:", "Gid:"] {
        assert_eq!(of_status(output, name), ["1000", id, id, id], "{output}");
    }
    let without = of_status(output, "CapEff:") == ["0000000000000000"];
    assert_eq!(without, !gains, "{output}");
}
