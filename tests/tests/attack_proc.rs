//! A /proc that differs from what rootling expects: one that the container has covered itself, so that the label of
//! a program that joins is written elsewhere, and one that belongs to the image.

use std::fs;

use rootling_tests::apparmor::Profile;
use rootling_tests::race::{expect, looking, race};
use rootling_tests::selinux::{self, Selinux};
use rootling_tests::{Bundle, Outside, Test, Variation, both, eventually, repeats, skip};
use serde_json::json;

both!(
    apparmor_profile_of_exec_is_not_written_to_a_false_proc,
    selinux_label_of_exec_is_not_written_to_a_false_proc,
    labels_of_exec_are_not_written_to_files_on_the_true_proc,
    program_that_joins_a_false_proc_is_confined_by_apparmor,
    program_that_joins_a_false_proc_is_confined_by_selinux,
    root_is_read_only_whatever_the_image_has_for_proc,
    root_is_read_only_whatever_the_image_gets_for_proc,
    image_without_a_null_device_is_masked_all_the_same,
);

/// How a container covers its own /proc with files for labels. The files are in the image, where it can be seen
/// what is written to them.
const COVERS: [(&str, &str); 4] = [
    ("its directory", "mount --bind /false /proc"),
    ("its own file system", "mount -t tmpfs none /proc && cp -a /false/. /proc/"),
    (
        "links into the true one, to other files",
        "mkdir /true && mount --rbind /proc /true && mount -t tmpfs none /proc && ln -s /true/1 /proc/self && \
         mkdir -p /proc/thread-self/attr/apparmor && for file in exec current apparmor/exec apparmor/current; do \
         ln -s /kept /proc/thread-self/attr/$file; done",
    ),
    (
        "links to the files of another process",
        "mkdir /true && mount --rbind /proc /true && mount -t tmpfs none /proc && ln -s /true/1 /proc/self && \
         ln -s /true/1 /proc/thread-self && ln -s /true/1 /proc/1 && mount --bind /kept /true/1/attr/exec",
    ),
];

/// A container that covers its /proc after it was started, as `cover` says; `kept` is mounted on /kept.
fn with_false_proc(t: &Test, cover: &str, kept: &Outside) -> Bundle {
    let mut bundle = t.shell(&format!("{{ {cover}; }} && echo covered >/tmp/ready; sleep 1000"));
    for process in ["self", "thread-self", "1", "2", "3", "4", "5"] {
        let attributes = bundle.rootfs("false").join(process).join("attr/apparmor");
        fs::create_dir_all(&attributes).expect("make a directory of a false proc");
        for file in ["exec", "current", "../exec", "../current"] {
            fs::write(attributes.join(file), "").expect("make a file of a false proc");
        }
    }
    fs::write(bundle.rootfs("kept"), "").expect("make a mount point");
    bundle.own_all();
    bundle.mount("/kept", "bind", &kept.dir().join("file").to_string_lossy(), &["bind"]);
    // Remove other kinds of covers, which would be in the way.
    bundle.remove("/linux/maskedPaths").remove("/linux/readonlyPaths");
    bundle.capabilities(&["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_MAC_ADMIN", "CAP_CHOWN", "CAP_FOWNER"]);
    bundle
}

/// Starts it, and waits until its /proc is covered.
fn start(t: &Test, bundle: &Bundle) {
    let ready = bundle.rootfs("tmp/ready");
    let _ = fs::remove_file(&ready);
    t.run_detached(bundle.write(), "c").ok();
    eventually("the container has covered its /proc", || {
        fs::read_to_string(&ready).is_ok_and(|text| !text.is_empty())
    });
}

/// Asserts that nothing was written to a false file.
fn is_unwritten(t: &Test, bundle: &Bundle, kept: &Outside, case: &str) {
    kept.assert_unchanged(&case);
    let written =
        t.command("find").arg(bundle.rootfs("false")).args(&["-type", "f", "-size", "+0"]).output().ok();
    assert_eq!(written.stdout, "", "{case}");
    // In the file system that the container has mounted.
    let inside = ["find", "/proc", "-xdev", "-type", "f", "-size", "+0"];
    let written = t.exec::<&str>(&[], "c", &inside).output().ok();
    assert_eq!(written.stdout, "", "{case}: {written}");
}

/// An option of `exec`, its value, and the field that an error names.
type Label = (&'static str, &'static str, &'static str);

const APPARMOR: Label = ("--apparmor", "a-profile", "process.apparmorProfile");
const SELINUX: Label = ("--process-label", "system_u:system_r:container_t:s0:c1,c2", "process.selinuxLabel");

/// A host that pretends to have both security modules. The kernel has none, so only a false file accepts a label.
fn pretended(t: &Test) -> Option<Variation<'_>> {
    let enabled = ["/sys/module/apparmor/parameters/enabled", "/sys/fs/selinux/enforce"];
    if enabled.iter().any(|file| fs::metadata(file).is_ok()) {
        skip("a security module is there: the tests of labels are those that use it");
        return None;
    }
    // The cgroups stay in their place.
    let aside = t.path("cgroups").display().to_string();
    let pretend = format!(
        "mount -t tmpfs none /sys/module && mkdir -p /sys/module/apparmor/parameters
        echo Y >/sys/module/apparmor/parameters/enabled
        mkdir -p {aside} && mount --rbind /sys/fs/cgroup {aside} && mount -t tmpfs none /sys/fs
        mkdir /sys/fs/cgroup /sys/fs/selinux && mount --move {aside} /sys/fs/cgroup
        echo 1 >/sys/fs/selinux/enforce"
    );
    Some(Variation::of(t)?.line(&pretend))
}

/// CVE-2025-52881, CVE-2025-62596.
fn apparmor_profile_of_exec_is_not_written_to_a_false_proc(t: &Test) {
    is_not_written_to_a_false_proc(t, APPARMOR);
}

/// CVE-2015-1334.
fn selinux_label_of_exec_is_not_written_to_a_false_proc(t: &Test) {
    is_not_written_to_a_false_proc(t, SELINUX);
}

fn is_not_written_to_a_false_proc(t: &Test, (option, label, field): Label) {
    for (how, cover) in COVERS {
        let Some(host) = pretended(t) else { return };
        let kept = Outside::with(t, &[], &["file"]);
        let bundle = with_false_proc(t, cover, &kept);
        start(t, &bundle);
        let output = host.run(t.exec(&[option, label], "c", &["true"])).output();
        println!("{how}: {}", output.stderr);
        is_unwritten(t, &bundle, &kept, &format!("{how}: {output}"));
        output.fails_with(&[field, label]);
        // A process that goes by the path does write there.
        if how.starts_with("its") {
            let write = "echo label >/proc/thread-self/attr/exec && cat /proc/thread-self/attr/exec";
            assert_eq!(t.exec::<&str>(&[], "c", &["sh", "-c", write]).output().ok().stdout, "label\n");
        }
        t.delete_force("c").ok();
    }
}

/// The same, while the container covers the file of every process that appears in a true /proc.
fn labels_of_exec_are_not_written_to_files_on_the_true_proc(t: &Test) {
    if pretended(t).is_none() {
        return;
    }
    let kept = Outside::with(t, &[], &["file"]);
    let mut bundle = with_false_proc(t, "true", &kept);
    let cover = "echo covered >/tmp/ready; while :; do for process in /proc/[0-9]*; do \
                 for thread in $process/task/*; do mount --bind /kept $thread/attr/exec; done; done; done 2>/dev/null";
    bundle.set("/process/args", json!(["sh", "-c", cover]));
    start(t, &bundle);
    for (option, label, field) in [APPARMOR, SELINUX].repeat(repeats(5)) {
        let host = pretended(t).expect("as before");
        let output = host.run(t.exec(&[option, label], "c", &["true"])).output();
        kept.assert_unchanged(&output);
        output.fails_with(&[field, label]);
    }
    let covers = t.exec::<&str>(&[], "c", &["grep", "-c", "attr/exec", "/proc/self/mountinfo"]).output();
    assert_ne!(covers.text(), "0", "nothing was covered: {covers}");
    t.delete_force("c").ok();
}

/// Checks the label of a program that `exec` has started with these flags in each of the containers, unless the
/// result is an error that names `field`.
fn labels_of_programs(
    t: &Test,
    covers: &[(&str, &str)],
    flags: &[&str; 2],
    field: &str,
    check: impl Fn(&str, &str),
) {
    for (how, cover) in covers {
        let kept = Outside::with(t, &[], &["file"]);
        let bundle = with_false_proc(t, cover, &kept);
        start(t, &bundle);
        let pid = t.path("pid");
        let exec = t.rootling(&["exec", "-d", "--pid-file"]).arg(&pid).args(flags).arg(t.id("c"));
        let output = exec.args(&["sleep", "1000"]).output();
        is_unwritten(t, &bundle, &kept, &format!("{how}: {output}"));
        if output.exit() == 0 {
            let pid = fs::read_to_string(&pid).expect("the pid file");
            let label =
                fs::read_to_string(format!("/proc/{pid}/attr/current")).expect("the label of the program");
            check(label.trim_end_matches(['\0', '\n']), how);
        } else {
            output.fails_with(&[field]);
        }
        t.delete_force("c").ok();
    }
}

fn program_that_joins_a_false_proc_is_confined_by_apparmor(t: &Test) {
    let Some(profile) = Profile::load(t) else { return };
    labels_of_programs(
        t,
        &COVERS,
        &["--apparmor", &profile.name],
        "process.apparmorProfile",
        |label, how| {
            assert_eq!(label, format!("{} (enforce)", profile.name), "{how}");
        },
    );
}

fn program_that_joins_a_false_proc_is_confined_by_selinux(t: &Test) {
    let Some(selinux) = Selinux::here() else { return };
    // Debian's policy lets nobody mount on a file of another process.
    let covers = if selinux.enforcing { &COVERS[..COVERS.len() - 1] } else { &COVERS };
    let flags = ["--process-label", selinux::PROGRAM];
    labels_of_programs(t, covers, &flags, "process.selinuxLabel", |label, how| {
        assert_eq!(label, selinux::PROGRAM, "{how}");
    });
}

/// Tries to write wherever it must not. It prints a line for each way that was open.
const WRITE: &str = "for dir in / /bin /etc /closed /proc /proc/self /decoy /decoy/below; do \
                     (: >$dir/new) 2>>/tmp/errors && echo wrote in $dir; done; \
                     (echo changed >/etc/passwd) 2>>/tmp/errors && echo changed passwd; \
                     (echo changed >/closed/file) 2>>/tmp/errors && echo changed a file; \
                     grep -c 'Read-only file system' /tmp/errors";

/// The number of these ways.
const WAYS: &str = "10\n";

/// Makes an image that has no procfs mounted, but directories and links in its place: code that goes by
/// /proc/self/fd reaches a decoy, which also belongs to the image.
fn with_proc_of_the_image(bundle: &mut Bundle) {
    for dir in ["decoy/below", "closed", "proc/self/fd", "proc/thread-self"] {
        fs::create_dir_all(bundle.rootfs(dir)).expect("make a directory of the image");
    }
    fs::write(bundle.rootfs("closed/file"), "inside\n").expect("make a file of the image");
    for number in 3..64 {
        let decoy = if number % 2 == 0 { "/decoy" } else { "/decoy/below" };
        bundle.link(&format!("proc/self/fd/{number}"), decoy);
    }
    bundle.link("proc/thread-self/fd", "../self/fd");
    bundle.link("proc/1", "self");
    bundle.without_mount("/proc").mount("/tmp", "tmpfs", "tmpfs", &[]);
    bundle.set("/root/readonly", true.into());
    bundle.set("/linux/readonlyPaths", json!(["/closed", "/etc", "/decoy", "/proc/sys"]));
    bundle.set("/linux/maskedPaths", json!(["/proc/kcore", "/closed/masked"]));
    bundle.own_all();
}

/// CVE-2026-115521.
fn root_is_read_only_whatever_the_image_has_for_proc(t: &Test) {
    // With just the root, and with mounts that are made read-only late.
    for readonly_root in [true, false] {
        let mut bundle = t.shell(WRITE);
        with_proc_of_the_image(&mut bundle);
        bundle.set("/root/readonly", readonly_root.into());
        bundle.mount("/decoy", "tmpfs", "tmpfs", &["ro", "tmpcopyup"]);
        let output = t.run(bundle.write()).ok();
        if readonly_root {
            assert_eq!(output.stdout, WAYS, "{output}");
        } else {
            let open = ["/", "/bin", "/proc", "/proc/self"].map(|dir| format!("wrote in {dir}\n")).concat();
            assert_eq!(output.stdout, format!("{open}6\n"), "{output}");
        }
    }
}

/// Somebody exchanges it with a link to the decoy meanwhile.
fn root_is_read_only_whatever_the_image_gets_for_proc(t: &Test) {
    let mut bundle = looking(t, WRITE);
    with_proc_of_the_image(&mut bundle);
    bundle.link("link", "/decoy");
    race(t, &bundle, ["proc", "link"], "/proc", &mut |output| {
        expect(output.exit() != 0 || output.stdout == WAYS, &format!("{:?}", output.stdout))
    });
}

/// The other half of CVE-2025-31133: a missing null device masks nothing, so that what was to be masked is
/// accessible.
fn image_without_a_null_device_is_masked_all_the_same(t: &Test) {
    for (directory, readonly) in [(true, false), (false, false), (true, true), (false, true)] {
        let mut bundle = t.shell("stat -c %t:%T /proc/version /secret; wc -c </secret");
        bundle.without_mount("/dev").set("/root/readonly", readonly.into());
        if !directory {
            fs::remove_dir_all(bundle.rootfs("dev")).expect("remove the directory");
        }
        fs::write(bundle.rootfs("secret"), "secret").expect("make the file");
        bundle.own_all();
        bundle.set("/linux/maskedPaths", json!(["/proc/version", "/secret"]));
        // The mounts below it, which would make it, are removed as well.
        for below in ["/dev/pts", "/dev/shm", "/dev/mqueue"] {
            bundle.without_mount(below);
        }
        let output = t.run(bundle.write());
        println!("{output}");
        if output.exit() == 0 {
            assert_eq!(output.stdout, "1:3\n1:3\n0\n", "/dev: {directory}, read-only: {readonly}: {output}");
        } else {
            output.fails_with(&["/dev/null"]);
        }
    }
}
