//! What a container can see of the host, and who may read the state.

use std::fs;
use std::os::unix::fs::MetadataExt;

use rootling_tests::{Cmd, Test, both, root, skip};
use serde_json::json;

both!(
    no_descriptor_of_the_host_reaches_the_container,
    working_directory_in_a_descriptor_of_the_host_is_refused,
    state_is_only_for_its_owner,
    null_input_is_at_its_end,
    null_output_takes_what_is_written,
    no_new_privileges_is_as_configured,
    capabilities_are_the_configured_ones,
    no_capabilities_object_means_none,
    masked_paths_are_empty,
    read_only_paths_refuse_writes,
    no_proc_without_masks_is_left_by_no_pivot,
);

root!(device_that_is_a_stream_keeps_its_owner, hidden_proc_of_the_host_is_an_error_without_a_pivot);

/// Opens descriptors 5 and 6 in rootling's caller, without close-on-exec.
const LEAKY_CALLER: [&str; 3] = ["sh", "-c", r#"exec 5</etc/passwd 6</; exec "$0" "$@""#];

fn no_descriptor_of_the_host_reaches_the_container(t: &Test) {
    let bundle = t.bundle(&["ls", "/proc/self/fd"]);
    let output = t.run_command(bundle.write()).under(&LEAKY_CALLER).output().ok();
    // 3 is the descriptor of the listed directory itself.
    assert_eq!(output.stdout, "0\n1\n2\n3\n");
}

/// CVE-2024-21626.
fn working_directory_in_a_descriptor_of_the_host_is_refused(t: &Test) {
    for descriptor in 3..12 {
        let mut bundle = t.shell("readlink /proc/self/cwd; ls -a ../../../../../../etc");
        bundle.set("/process/cwd", format!("/proc/self/fd/{descriptor}").into());
        let output = t.run_command(bundle.write()).under(&LEAKY_CALLER).output();
        if output.exit() == 0 {
            assert_eq!(
                output.stdout.lines().skip(1).collect::<Vec<_>>(),
                [".", "..", "group", "passwd"],
                "{output}"
            );
        }
    }
}

fn state_is_only_for_its_owner(t: &Test) {
    let bundle = t.bundle(&["true"]);
    t.create(bundle.write(), "c").ok();
    for dir in [t.state_root(), t.state_root().join(t.id("c"))] {
        let metadata = fs::metadata(&dir).expect("stat of the state directory");
        let mode = metadata.mode() & 0o7777;
        assert_eq!(mode, 0o700, "{}", dir.display());
        assert_eq!(metadata.uid(), t.account().uid, "{}", dir.display());
        for entry in fs::read_dir(&dir).expect("list the state directory").flatten() {
            let metadata = entry.metadata().expect("stat in the state directory");
            let mode = metadata.mode();
            assert!(!metadata.is_file() || mode & 0o022 == 0, "{}: mode {mode:o}", entry.path().display());
        }
    }
    t.delete_force("c").ok();
}

fn null_input_is_at_its_end(t: &Test) {
    let bundle = t.shell("cat; echo end");
    assert_eq!(t.run(bundle.write()).ok().stdout, "end\n");
}

/// As a null device of the container's own, for reading and writing, whoever fills /dev.
fn null_output_takes_what_is_written(t: &Test) {
    let into_null = |command: Cmd| command.under(&["sh", "-c", "exec \"$@\" >/dev/null 2>&1", "sh"]);
    for own_dev in [true, false] {
        let mut bundle =
            t.shell("echo out && echo err >&2 && null=$(readlink /proc/$$/fd/1) && echo $null >/tmp/null");
        if !own_dev {
            bundle.set("/mounts", json!([{"destination": "/proc", "type": "proc", "source": "proc"}]));
        }
        into_null(t.run_command(bundle.write())).output().ok();
        let null = fs::read_to_string(bundle.rootfs("tmp/null")).expect("the path of the stream");
        assert_eq!(null, "/dev/null\n", "with a /dev of its own: {own_dev}");
    }
}

fn no_new_privileges_is_as_configured(t: &Test) {
    let mut bundle = t.bundle(&["grep", "NoNewPrivs", "/proc/self/status"]);
    for (value, shown) in [(true, "1"), (false, "0")] {
        bundle.set("/process/noNewPrivileges", value.into());
        assert_eq!(t.run(bundle.write()).ok().stdout, format!("NoNewPrivs:\t{shown}\n"));
    }
}

/// The five sets in the kernel's order: inheritable, permitted, effective, bounding, ambient.
fn capability_sets(output: &str) -> Vec<u64> {
    let hexadecimal = |line: &str| {
        let (_, value) = line.split_once('\t').expect("a name and a value");
        u64::from_str_radix(value, 16).expect("a set in hexadecimal")
    };
    output.lines().map(hexadecimal).collect()
}

fn capabilities_are_the_configured_ones(t: &Test) {
    let mut bundle = t.bundle(&["grep", "Cap", "/proc/self/status"]);
    let (kill, bind) = (json!(["CAP_KILL"]), json!(["CAP_KILL", "CAP_NET_BIND_SERVICE"]));
    let sets =
        json!({"bounding": bind, "permitted": bind, "effective": kill, "inheritable": bind, "ambient": kill});
    bundle.set("/process/capabilities", sets);
    // Numbers in capabilities(7): CAP_KILL is 5, CAP_NET_BIND_SERVICE is 10. With uid 0, execve makes everything
    // that is permitted effective.
    let (kill, bind) = (1 << 5, 1 << 5 | 1 << 10);
    assert_eq!(capability_sets(&t.run(bundle.write()).ok().stdout), [bind, bind, bind, bind, kill]);
}

fn no_capabilities_object_means_none(t: &Test) {
    let mut bundle = t.bundle(&["grep", "Cap", "/proc/self/status"]);
    bundle.remove("/process/capabilities");
    assert_eq!(capability_sets(&t.run(bundle.write()).ok().stdout), [0; 5]);
}

fn masked_paths_are_empty(t: &Test) {
    let mut bundle = t.shell("wc -c </proc/timer_list; wc -c </masked-file; ls -A /masked-dir");
    fs::write(bundle.rootfs("masked-file"), "secret").expect("write the file");
    fs::create_dir_all(bundle.rootfs("masked-dir/inside")).expect("make the directory");
    let paths = json!(["/proc/timer_list", "/masked-file", "/masked-dir", "/not/there"]);
    bundle.set("/linux/maskedPaths", paths);
    let output = t.run(bundle.write()).ok();
    assert_eq!(output.stdout.split_whitespace().collect::<Vec<_>>(), ["0", "0"], "{output}");
}

fn read_only_paths_refuse_writes(t: &Test) {
    let mut bundle = t.shell("echo changed >/proc/sys/kernel/domainname; touch /kept/new");
    fs::create_dir(bundle.rootfs("kept")).expect("make the directory");
    bundle.own_all();
    bundle.set("/linux/readonlyPaths", json!(["/proc/sys", "/kept", "/not/there"]));
    let output = t.run(bundle.write()).code(1);
    assert_eq!(output.stderr.matches("Read-only file system").count(), 2, "{output}");
}

/// Root's standard input is often the host's null device: an id of the container must not become its owner.
fn device_that_is_a_stream_keeps_its_owner(t: &Test) {
    let device = t.path("null");
    t.command("mknod").args(&["-m", "0666"]).arg(&device).args(&["c", "1", "3"]).output().ok();
    let Ok(stream) = fs::File::open(&device) else {
        return skip("the file system of the tests' directory has no devices");
    };
    let keeps_its_owner = |command: Cmd, case: &str| {
        command.stdin(stream.try_clone().expect("duplicate the stream")).output().ok();
        let found = fs::metadata(&device).expect("stat of the device");
        assert_eq!((found.uid(), found.gid()), (0, 0), "{case}");
    };
    for mapped in [false, true] {
        let mut bundle = t.bundle(&["true"]);
        if mapped {
            bundle.mapped();
        }
        t.run_detached(bundle.sibling(t, &["sleep", "1000000"]).write(), "d").ok();
        for uid in [0, 1000] {
            let case = format!("mapped: {mapped}, as uid {uid}");
            bundle.set("/process/user", json!({"uid": uid, "gid": uid}));
            keeps_its_owner(t.run_command(bundle.write()), &case);
            // A process that joins has the caller's own stream, with nothing in its place.
            keeps_its_owner(t.exec(&["-u", &uid.to_string()], "d", &["true"]), &format!("{case}, exec"));
        }
        t.delete_force("d").ok();
    }
}

/// A procfs that nothing covers, anywhere in the mount namespace, would let a user namespace inside mount another
/// one without the masks.
fn no_proc_without_masks_is_left_by_no_pivot(t: &Test) {
    let mut bundle = t.bundle(&["unshare", "-mrpf", "mount", "-t", "proc", "none", "/proc"]);
    for set in ["bounding", "permitted", "effective"] {
        // For the map of the new user namespace's root.
        bundle.set(&format!("/process/capabilities/{set}/-"), "CAP_SETFCAP".into());
    }
    for flags in [&[][..], &["--no-pivot"]] {
        let output = t.run_command(bundle.write()).args(flags).output();
        assert!(output.exit() != 0 && output.stderr.contains("mount"), "{flags:?}: {output}");
    }
}

/// A procfs that is hidden by a mount above it cannot be covered, and would still let a user namespace inside mount
/// another one.
fn hidden_proc_of_the_host_is_an_error_without_a_pivot(t: &Test) {
    let bundle = t.bundle(&["true"]);
    let place = t.path("place").to_string_lossy().into_owned();
    let hide = "mkdir -p $0 && mount --bind $0 $0 && mkdir $0/p && mount -t proc proc $0/p";
    let on_host = |script: &str, flags: &[&str]| {
        let script = format!("{hide} && {script} && exec \"$@\"");
        let under =
            ["unshare", "-m", "--propagation", "private", "sh", "-c", script.as_str(), place.as_str()];
        let output = t.run_command(&bundle).args(flags).under(&under).output();
        fs::remove_dir(t.path("place").join("p")).expect("remove the directory");
        output
    };
    bundle.write();
    on_host("mount --bind $0 $0", &["--no-pivot"]).fails_with(&["--no-pivot", "hidden", "/place/p"]);
    on_host("mount --bind $0 $0", &[]).ok();
    // If it is visible, or below another one at the same place, it is covered.
    on_host("true", &["--no-pivot"]).ok();
    on_host("mount -t proc proc $0/p", &["--no-pivot"]).ok();
}
