//! `process.selinuxLabel`, `linux.mountLabel`, and the labels of `exec` and of the session keyring, with a kernel and a
//! policy that have them.

use std::fs;

use rootling_tests::selinux::{FILES, PROGRAM, Selinux, confined, label};
use rootling_tests::{Bundle, Cmd, Outside, Test, both, skip};
use serde_json::{Value, json};

both!(
    program_gets_its_label,
    program_without_a_label_is_started_as_well,
    label_that_the_policy_does_not_know_is_an_error,
    label_without_a_proc_is_set_or_an_error,
    program_that_joins_gets_a_label,
    label_of_exec_that_the_policy_does_not_know_is_an_error,
    session_keyring_gets_the_label_of_the_program,
    session_keyring_of_the_caller_keeps_its_label,
    file_systems_get_the_mount_label,
    kernels_own_file_systems_get_no_mount_label,
    message_queues_get_the_mount_label,
    masked_directories_get_the_mount_label,
    overlay_with_long_options_gets_the_mount_label,
    mount_label_that_the_policy_does_not_know_is_an_error,
    policy_decides_what_a_program_may_read,
    program_that_the_policy_does_not_let_start_is_an_error,
    podmans_volume_gets_the_label_of_its_container,
);

/// A context whose type no policy has.
const UNKNOWN: &str = "system_u:system_r:rootling_unknown_t:s0";

/// Another context for a program of the same type.
const OTHER: &str = "system_u:system_r:container_t:s0:c6,c7";

/// Prints the context of the program.
const OWN: [&str; 2] = ["cat", "/proc/self/attr/current"];

fn program_gets_its_label(t: &Test) {
    if Selinux::here().is_none() {
        return;
    }
    let mut bundle = confined(t, &OWN);
    for no_new_privileges in [false, true] {
        bundle.set("/process/noNewPrivileges", no_new_privileges.into());
        let output = t.run(bundle.write());
        assert_eq!(shown(&output.stdout), PROGRAM, "{no_new_privileges}: {output}");
    }
    // In a user namespace whose root is nobody on the host, for root as well.
    bundle.mapped();
    let output = t.run(bundle.write());
    assert_eq!(shown(&output.stdout), PROGRAM, "{output}");
}

/// A context as the kernel shows it, whose end is a null byte.
fn shown(text: &str) -> &str {
    text.trim_end_matches(['\0', '\n'])
}

/// It runs with the context that the policy chooses.
fn program_without_a_label_is_started_as_well(t: &Test) {
    if Selinux::here().is_none() {
        return;
    }
    for empty in [None, Some("")] {
        let mut bundle = t.bundle(&OWN);
        if let Some(empty) = empty {
            bundle.set("/process/selinuxLabel", empty.into()).set("/linux/mountLabel", empty.into());
        }
        let output = t.run(bundle.write()).ok();
        assert_eq!(shown(&output.stdout).split(':').count().min(4), 4, "{output}");
        assert_ne!(shown(&output.stdout), PROGRAM, "{output}");
    }
}

fn label_that_the_policy_does_not_know_is_an_error(t: &Test) {
    if Selinux::here().is_none() {
        return;
    }
    let mut bundle = confined(t, &["true"]);
    for (wrong, no_new_keyring) in [(UNKNOWN, false), (UNKNOWN, true), ("no context", true)] {
        bundle.set("/process/selinuxLabel", wrong.into());
        let keyring: &[&str] = if no_new_keyring { &["--no-new-keyring"] } else { &[] };
        let output = t.run_command(bundle.write()).args(keyring).output();
        output.fails_with(&["process.selinuxLabel", wrong, "EINVAL", "policy", "correct the label"]);
    }
}

/// The label is written through a proc file system. Nothing is started without its label.
fn label_without_a_proc_is_set_or_an_error(t: &Test) {
    if Selinux::here().is_none() {
        return;
    }
    let mut bundle = confined(t, &["sh", "-c", "mount -t proc proc /proc && cat /proc/self/attr/current"]);
    bundle.without_mount("/proc").remove("/linux/maskedPaths");
    bundle.remove("/linux/readonlyPaths");
    t.run(bundle.write()).fails_with(&["process.selinuxLabel", PROGRAM, "/proc"]);
    // With the proc file system of the host it is written as well.
    bundle.mount("/proc", "bind", "/proc", &["rbind"]).set("/process/args", json!(OWN));
    let output = t.run(bundle.write());
    assert_eq!(shown(&output.stdout), PROGRAM, "{output}");
}

/// Starts a container that stays.
fn start(t: &Test, bundle: &mut Bundle) {
    bundle.set("/process/args", json!(["sleep", "1000"]));
    t.run_detached(bundle.write(), "c").ok();
}

fn program_that_joins_gets_a_label(t: &Test) {
    if Selinux::here().is_none() {
        return;
    }
    let mut bundle = confined(t, &[]);
    // The level of all of them may read it.
    label(t, &bundle.rootfs(""), "system_u:object_r:container_file_t:s0");
    start(t, &mut bundle);
    // That of the container, that of the option, and that of a document, beside which options count for nothing.
    for (flags, document, expected) in [
        (&[][..], None, PROGRAM),
        (&["--process-label", OTHER], None, OTHER),
        (&[], Some(json!({"selinuxLabel": OTHER})), OTHER),
        (&[], Some(json!({})), PROGRAM),
        (&["--process-label", PROGRAM], Some(json!({"selinuxLabel": OTHER})), OTHER),
    ] {
        let output = match document {
            Some(process) => exec_of(t, process, flags).output(),
            None => t.exec(flags, "c", &OWN).output(),
        };
        assert_eq!(shown(&output.ok().stdout), expected, "{flags:?}");
    }
    t.delete_force("c").ok();
}

/// `exec` by a document with these members.
fn exec_of(t: &Test, mut process: Value, flags: &[&str]) -> Cmd {
    process["args"] = json!(OWN);
    process["cwd"] = json!("/");
    process["env"] = json!(["PATH=/bin"]);
    process["user"] = json!({"uid": 0, "gid": 0});
    let file = t.path("process.json");
    fs::write(&file, process.to_string()).expect("write the document");
    t.rootling(&["exec", "--process"]).arg(file).args(flags).arg(t.id("c"))
}

fn label_of_exec_that_the_policy_does_not_know_is_an_error(t: &Test) {
    if Selinux::here().is_none() {
        return;
    }
    let mut bundle = confined(t, &[]);
    start(t, &mut bundle);
    let wanted = ["process.selinuxLabel", UNKNOWN, "EINVAL", "policy", "correct the label"];
    t.exec(&["--process-label", UNKNOWN], "c", &["true"]).output().fails_with(&wanted);
    exec_of(t, json!({"selinuxLabel": UNKNOWN}), &[]).output().fails_with(&wanted);
    t.delete_force("c").ok();
}

/// With that of the caller the program might not be let into its own keyring.
fn session_keyring_gets_the_label_of_the_program(t: &Test) {
    if Selinux::here().is_none() {
        return;
    }
    let both = ["sh", "-c", "probe keyring; probe keyring-label"];
    let expected = format!(";_ses.{}\n{PROGRAM}\n", t.id("c"));
    for mapped in [false, true] {
        let mut bundle = confined(t, &both);
        if mapped {
            bundle.mapped();
        }
        let output = t.run(bundle.write()).ok();
        assert!(output.stdout.ends_with(&expected), "{mapped}: {output}");
        start(t, &mut bundle);
        let output = t.exec::<&str>(&[], "c", &both).output().ok();
        assert!(output.stdout.ends_with(&expected), "exec, {mapped}: {output}");
        t.delete_force("c").ok();
    }
}

fn session_keyring_of_the_caller_keeps_its_label(t: &Test) {
    if Selinux::here().is_none() {
        return;
    }
    let mut bundle = confined(t, &OWN);
    let output = t.run_command(bundle.write()).args(&["--no-new-keyring"]).output().ok();
    assert_eq!(shown(&output.stdout), PROGRAM, "{output}");
    // Without a label the keyring has that of rootling, which is no container's.
    bundle.remove("/process/selinuxLabel").set("/process/args", json!(["probe", "keyring-label"]));
    let output = t.run(bundle.write()).ok();
    assert!(output.text().contains(":s0") && !output.text().contains("container_t"), "{output}");
}

/// What a mount table shows of [`FILES`], whose comma separates two options for a reader that does not know quotes.
const SHOWN: [&str; 2] = ["context=\"system_u:object_r:container_file_t:s0:c4", "c5\""];

fn file_systems_get_the_mount_label(t: &Test) {
    if Selinux::here().is_none() {
        return;
    }
    let mut bundle = confined(t, &[]);
    bundle.set("/linux/mountLabel", FILES.into()).mount("/mnt", "tmpfs", "tmpfs", &["size=1m"]);
    let covered = bundle.rootfs("covered");
    fs::create_dir(&covered).expect("make a directory of the image");
    fs::write(covered.join("file"), "copied\n").expect("make a file of the image");
    bundle.own_all();
    bundle.mount("/covered", "tmpfs", "tmpfs", &["tmpcopyup", "ro"]);
    let mounts = t.mounts_of(&mut bundle);
    for point in ["/dev", "/dev/pts", "/dev/shm", "/mnt", "/covered"] {
        let data = &mounts.at(point).data;
        assert!(SHOWN.iter().all(|part| data.contains(*part)), "{point}: {data:?}");
    }
    // A file that is made or copied there has it as well, and the program may use it.
    let script = "echo made >/mnt/file && cat /mnt/file /covered/file && \
                  probe labels /mnt/file /covered/file /dev /dev/pts && echo >/dev/null";
    bundle.set("/process/args", json!(["sh", "-c", script]));
    let output = t.run(bundle.write()).ok();
    assert_eq!(output.stdout, format!("made\ncopied\n{}", format!("{FILES}\n").repeat(4)), "{output}");
}

fn kernels_own_file_systems_get_no_mount_label(t: &Test) {
    if Selinux::here().is_none() {
        return;
    }
    let mut bundle = confined(t, &[]);
    bundle.set("/linux/mountLabel", FILES.into());
    bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "ro"]);
    let mounts = t.mounts_of(&mut bundle);
    for point in ["/proc", "/sys", "/sys/fs/cgroup", "/dev/mqueue"] {
        let data = &mounts.at(point).data;
        assert!(!data.iter().any(|option| option.contains("context=")), "{point}: {data:?}");
    }
}

/// The kernel refuses the option for them, so the directory gets it afterwards.
fn message_queues_get_the_mount_label(t: &Test) {
    if Selinux::here().is_none() {
        return;
    }
    let mut bundle = confined(t, &["probe", "labels", "/dev/mqueue"]);
    bundle.set("/linux/mountLabel", FILES.into());
    for options in [&["nosuid", "noexec", "nodev"][..], &["ro"]] {
        bundle.without_mount("/dev/mqueue").mount("/dev/mqueue", "mqueue", "mqueue", options);
        let output = t.run(bundle.write()).ok();
        assert_eq!(output.text(), FILES, "{options:?}: {output}");
        let mount = t.mounts_of(&mut bundle.clone()).at("/dev/mqueue").clone();
        assert_eq!(mount.options.contains("ro"), options.contains(&"ro"), "{mount:?}");
    }
}

/// A program may look into what covers them, as it may where there is no SELinux.
fn masked_directories_get_the_mount_label(t: &Test) {
    if Selinux::here().is_none() {
        return;
    }
    let mut bundle = confined(t, &["sh", "-c", "ls -a /first /second && probe labels /first /second"]);
    for name in ["first", "second"] {
        fs::create_dir(bundle.rootfs(name)).expect("make a directory of the image");
        fs::write(bundle.rootfs(name).join("secret"), "").expect("make a file of the image");
    }
    bundle.own_all();
    bundle.set("/linux/mountLabel", FILES.into()).set("/linux/maskedPaths", json!(["/first", "/second"]));
    let output = t.run(bundle.write()).ok();
    let empty = |dir: &str| format!("{dir}:\n.\n..\n");
    assert_eq!(
        output.stdout,
        format!("{}\n{}{FILES}\n{FILES}\n", empty("/first"), empty("/second")),
        "{output}"
    );
}

/// They are longer than the newer system calls accept, and mount(2) takes the label in quotes.
fn overlay_with_long_options_gets_the_mount_label(t: &Test) {
    if Selinux::here().is_none() {
        return;
    }
    let mut bundle = confined(t, &[]);
    let long = format!("{}/{}", "l".repeat(150), "m".repeat(150));
    let dirs = ["lower", "upper", "work"].map(|name| t.path(&long).join(name));
    for dir in &dirs {
        t.command("mkdir").arg("-p").arg(dir).output().ok();
    }
    label(t, &t.path(&"l".repeat(150)), FILES);
    let [lower, upper, work] = dirs.map(|dir| dir.display().to_string());
    let options = [
        format!("lowerdir={lower}"),
        format!("upperdir={upper}"),
        format!("workdir={work}"),
        "userxattr".into(),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    bundle.set("/linux/mountLabel", FILES.into()).mount("/mnt", "overlay", "overlay", &options);
    let mounts = t.mounts_of(&mut bundle);
    let data = &mounts.at("/mnt").data;
    assert!(SHOWN.iter().all(|part| data.contains(*part)), "{data:?}");
}

fn mount_label_that_the_policy_does_not_know_is_an_error(t: &Test) {
    if Selinux::here().is_none() {
        return;
    }
    let mut bundle = confined(t, &["true"]);
    bundle.set("/linux/mountLabel", UNKNOWN.into());
    let wanted = ["linux.mountLabel", UNKNOWN, "EINVAL", "policy", "correct the label"];
    t.run(bundle.write()).fails_with(&wanted);
    // A container with no other file system than message queues, and one with masks alone.
    bundle.set("/mounts", json!([{"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"}]));
    bundle.remove("/process/selinuxLabel").remove("/linux/maskedPaths").remove("/linux/readonlyPaths");
    t.run(bundle.write()).fails_with(&wanted);
    // With categories: the comma is not what the kernel refuses.
    let levels = format!("{UNKNOWN}:c1,c2");
    bundle.set("/linux/mountLabel", levels.as_str().into());
    bundle.set("/mounts", json!([{"destination": "/mnt", "type": "devpts", "source": "devpts"}]));
    t.run(bundle.write()).fails_with(&["linux.mountLabel", &levels, "EINVAL", "policy", "correct the label"]);
    bundle.set("/linux/mountLabel", UNKNOWN.into());
    bundle.set("/mounts", json!([])).set("/linux/maskedPaths", json!(["/etc"]));
    t.run(bundle.write()).fails_with(&wanted);
}

fn policy_decides_what_a_program_may_read(t: &Test) {
    if Selinux::enforcing().is_none() {
        return;
    }
    let script = "for file in /mnt/*; do cat $file >/dev/null 2>&1 && echo read $file; done; true";
    let mut bundle = confined(t, &["sh", "-c", script]);
    bundle.set("/linux/mountLabel", FILES.into());
    let outside = Outside::with(t, &[], &["allowed", "of-another", "of-the-host"]);
    let file = |name: &str| outside.dir().join(name);
    label(t, outside.dir(), FILES);
    label(t, &file("of-another"), "system_u:object_r:container_file_t:s0:c8,c9");
    label(t, &file("of-the-host"), "system_u:object_r:user_home_t:s0");
    bundle.mount("/mnt", "bind", &outside.dir().to_string_lossy(), &["bind"]);
    assert_eq!(t.run(bundle.write()).ok().stdout, "read /mnt/allowed\n");
    start(t, &mut bundle);
    let output = t.exec::<&str>(&[], "c", &["sh", "-c", script]).output().ok();
    assert_eq!(output.stdout, "read /mnt/allowed\n");
    t.delete_force("c").ok();
}

/// The files of its image have another label.
fn program_that_the_policy_does_not_let_start_is_an_error(t: &Test) {
    if Selinux::enforcing().is_none() {
        return;
    }
    let mut bundle = confined(t, &["true"]);
    label(t, &bundle.rootfs(""), "system_u:object_r:user_home_t:s0");
    t.run(bundle.write()).fails_with(&["EACCES", "SELinux"]);
    bundle.remove("/process/selinuxLabel");
    t.run(bundle.write()).ok();
}

/// podman with its containers in the test's directory, and rootling as their runtime.
fn podman(t: &Test, args: &[&str]) -> Cmd {
    let mut command = t.command("podman").env("XDG_RUNTIME_DIR", t.path("runtime"));
    for (option, dir) in [("--root", "storage"), ("--runroot", "runroot"), ("--tmpdir", "tmp")] {
        command = command.arg(option).arg(t.path(dir));
    }
    // With the driver vfs root's storage needs no mount, which would stay.
    command = command.args(&["--storage-driver", "vfs", "--runtime"]).arg(t.binary());
    command.args(&["--cgroup-manager", "cgroupfs", "--events-backend", "none"]).args(args)
}

/// `:z` gives a volume the label of all containers, and `:Z` that of a single one. podman relabels the volume, and asks the
/// runtime for a program with the matching label.
fn podmans_volume_gets_the_label_of_its_container(t: &Test) {
    let Some(selinux) = Selinux::here() else { return };
    if t.command("sh").args(&["-c", "command -v podman"]).output().exit() != 0 {
        return skip("podman is not installed");
    }
    let bundle = t.bundle(&[]);
    let image = t.path("image.tar").display().to_string();
    let root = bundle.rootfs("").display().to_string();
    t.command("tar").args(&["-C", &root, "-cf", &image, "."]).output().ok();
    t.command("mkdir").args(&["-m", "700"]).arg(t.path("runtime")).output().ok();
    podman(t, &["import", "--quiet", &image, "labelled"]).output().ok();
    // A program has no other way out: the policy does not let it write to a pipe of podman, as long as it has no label itself.
    let script = "cat /proc/self/attr/current >/volume/label && cat /volume/file >/volume/read";
    for option in ["", ":z", ":Z"] {
        let volume = t.open_directory(&format!("volume{}", option.trim_start_matches(':')));
        let write = format!("echo text >{}/file", volume.display());
        t.command("sh").args(&["-c", &write]).output().ok();
        let mount = format!("{}:/volume{option}", volume.display());
        let run = ["run", "--rm", "--network", "none", "--volume", &mount, "labelled", "sh", "-c", script];
        let output = podman(t, &run).output();
        if option.is_empty() && selinux.enforcing {
            assert_ne!(output.exit(), 0, "{output}");
            assert!(!volume.join("label").exists() && !volume.join("read").exists(), "{output}");
            continue;
        }
        let output = output.ok();
        let read = |name: &str| fs::read_to_string(volume.join(name)).expect("what the program wrote");
        assert_eq!(read("read"), "text\n", "{option}: {output}");
        let label = read("label");
        let level =
            shown(&label).strip_prefix("system_u:system_r:container_t:").expect("a container's label");
        assert!(level.starts_with("s0:c"), "{level}");
        let file =
            rootling_tests::sys::selinux_label(&volume.join("file").to_string_lossy()).expect("its label");
        match option {
            ":z" => assert_eq!(file, "system_u:object_r:container_file_t:s0"),
            ":Z" => assert_eq!(file, format!("system_u:object_r:container_file_t:{level}")),
            _ => assert!(!file.contains("container_file_t"), "{file}"),
        }
    }
    podman(t, &["rmi", "--force", "labelled"]).output().ok();
    // Ends the process that keeps an ordinary user's namespaces.
    podman(t, &["system", "migrate"]).output().ok();
}
