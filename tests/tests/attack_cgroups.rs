//! A container tries to change the host's cgroups, to leave its own, and to make the kernel execute a program when
//! a cgroup becomes empty.

use std::fs;
use std::path::PathBuf;

use rootling_tests::cgroups::{MOUNT, is_unified};
use rootling_tests::{Bundle, Cmd, Test, Variation, Who, both, leaks, root, skip, user};

user!(cgroups_of_the_host_are_read_only_without_a_namespace);
both!(process_cannot_leave_its_cgroup, no_program_is_set_to_be_executed_when_a_cgroup_is_empty);
root!(program_of_exec_cannot_leave_the_containers_cgroup);

/// The options of a read-only mount as every engine uses them.
const CLOSED: [&str; 5] = ["nosuid", "noexec", "nodev", "relatime", "ro"];

/// Runs `command` where only cgroup v2 is mounted and the account owns a cgroup, which the harness makes for the
/// ordinary user. Root owns all of them anyway.
fn in_own_cgroup(t: &Test, command: Cmd) -> Option<Cmd> {
    match t.who() {
        Who::Root => Some(command),
        Who::User => Some(Variation::of(t)?.delegated_cgroup().run(command)),
    }
}

/// Like [`Test::rootling`], with cgroups made by path.
fn by_path(t: &Test, args: &[&str]) -> Cmd {
    t.rootling_without_flags(&["--cgroup-manager", "cgroupfs"]).args(args)
}

/// CVE-2023-25809: a container that sees the host's cgroups may not write to them, even where the user may.
fn cgroups_of_the_host_are_read_only_without_a_namespace(t: &Test) {
    let cgroup = format!("{MOUNT}/{}", t.marker());
    let script = format!(
        "cd {cgroup} && grep -q $0 /proc/self/cgroup && echo seen; mkdir new && echo made; mkdir session/new && echo made;
        (echo 1 >session/cgroup.procs) && echo moved; (echo 1 >cgroup.procs) && echo moved;
        (echo +pids >cgroup.subtree_control) && echo changed; rmdir session && echo removed; true"
    );
    // The cgroup belongs to the account.
    let own = t.command("sh").args(&["-c", "mkdir $0/new && rmdir $0/new && echo made", &cgroup]);
    let Some(own) = in_own_cgroup(t, own) else { return };
    assert_eq!(own.output().ok().stdout, "made\n");
    // With a mount of its own, and in the host's /sys, which a container in the host's network gets.
    for (shared, mounted) in
        [(&["cgroup"][..], true), (&["cgroup", "network"], true), (&["cgroup", "network"], false)]
    {
        let mut bundle = t.shell(&script);
        bundle.set("/process/args/-", t.marker().into());
        for namespace in shared {
            bundle.without_namespace(namespace);
        }
        if mounted {
            bundle.mount(MOUNT, "cgroup", "cgroup", &CLOSED);
        }
        let run = by_path(t, &["run", "-b"]).arg(bundle.write().dir()).arg(t.id("c"));
        let output = in_own_cgroup(t, run).expect("root has started the tests").output().ok();
        let case = format!("shared: {shared:?}, mounted: {mounted}: {output}");
        assert_eq!(output.stdout, "seen\n", "{case}");
        assert_eq!(output.stderr.matches("Read-only file system").count(), 6, "{case}");
    }
    leaks::remove_cgroups(t.marker());
}

/// The cgroups of a process, as the host sees them.
fn cgroups_of(pid: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("the cgroups of a process");
    text.lines().map(str::to_owned).collect()
}

/// Runs a container in the background; returns the pid of its program.
fn start(t: &Test, bundle: &Bundle) -> Option<String> {
    let pid = t.path("pid");
    let run = by_path(t, &["run", "-d", "--pid-file"]).arg(&pid).arg("-b").arg(bundle.write().dir());
    in_own_cgroup(t, run.arg(t.id("c")))?.output().ok();
    Some(fs::read_to_string(pid).expect("the pid file"))
}

/// Moves the container's program to every visible cgroup, by every path that goes up. If possible, mounts the
/// cgroups anew first.
const MOVE: &str = "cd /sys/fs/cgroup
    for kind in 'cgroup2' 'cgroup -o pids' 'cgroup -o memory' 'cgroup -o devices' 'cgroup -o none,name=systemd'; do
        point=/tmp/$(echo $kind | tr -d ' ,=-'); mkdir -p $point; mount -t $kind none $point && echo mounted $kind
    done
    for up in . .. ../.. ../../.. ../../../..; do
        for dir in /sys/fs/cgroup/$up /sys/fs/cgroup/*/$up /tmp/*/$up; do
            for file in cgroup.procs tasks; do
                test -e $dir/$file && echo 1 >$dir/$file && echo wrote $dir/$file
            done
        done
    done
    find /sys/fs/cgroup /tmp -name cgroup.procs | while read file; do echo 1 >$file && echo wrote $file; done
    true";

/// CVE-2022-0492's first step, and others: through a writable mount, through one that the program makes itself, and
/// through the host's cgroups if it sees them.
fn process_cannot_leave_its_cgroup(t: &Test) {
    let all = ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_CHOWN", "CAP_FOWNER", "CAP_KILL"];
    for (own_namespace, options, capabilities) in [
        (true, &["rw"][..], &all[..]),
        (true, &["rw"], &[]),
        (true, &CLOSED, &all),
        (false, &CLOSED, &all[1..]),
    ] {
        let mut bundle = t.bundle(&["sleep", "1000"]);
        if !own_namespace {
            bundle.without_namespace("cgroup");
        }
        bundle.mount(MOUNT, "cgroup", "cgroup", options).capabilities(capabilities);
        let Some(pid) = start(t, &bundle) else { return };
        let before = cgroups_of(&pid);
        assert!(
            before.iter().any(|line| line.contains(t.marker())),
            "it has no cgroup of its own: {before:?}"
        );
        let exec = by_path(t, &["exec", &t.id("c"), "sh", "-c", MOVE]);
        let output = in_own_cgroup(t, exec).expect("root has started the tests").output().ok();
        let case = format!("own namespace: {own_namespace}, {options:?}, {capabilities:?}: {output}");
        println!("{case}");
        assert_eq!(cgroups_of(&pid), before, "{case}");
        // If something is accessible to it, it has written there, and has stayed where it was.
        let wrote = output.stdout.contains("wrote");
        assert_eq!(
            wrote,
            own_namespace && (options == ["rw"] || capabilities.contains(&"CAP_SYS_ADMIN")),
            "{case}"
        );
        t.delete_force("c").ok();
        leaks::remove_cgroups(t.marker());
    }
}

/// The programs that the kernel executes when a cgroup of version 1 becomes empty.
fn release_agents() -> Vec<(PathBuf, String)> {
    let dirs = fs::read_dir(MOUNT).expect("list the hierarchies").flatten();
    let files = dirs.map(|dir| dir.path().join("release_agent"));
    files.filter_map(|file| fs::read_to_string(&file).ok().map(|text| (file, text))).collect()
}

/// CVE-2022-0492: the kernel executes the program as root of the host.
fn no_program_is_set_to_be_executed_when_a_cgroup_is_empty(t: &Test) {
    if is_unified() {
        return skip("no hierarchy of cgroup version 1 is mounted here");
    }
    // Hierarchies that the host has mounted, and some that nobody has mounted.
    let with_agent =
        ["memory", "none,name=own", "rdma", "misc"].map(|name| format!("{name},release_agent=/agent"));
    let without = ["memory", "pids", "rdma", "misc", "none,name=own", "none,name=systemd"];
    let script = format!(
        "mkdir /tmp/point
        for options in {}; do
            mount -t cgroup -o $options none /tmp/point && echo mounted with $options && umount /tmp/point
        done
        for options in {}; do
            mount -t cgroup -o $options none /tmp/point || continue
            (echo /agent >/tmp/point/release_agent) && echo an agent of $options
            umount /tmp/point
        done
        for dir in /sys/fs/cgroup /sys/fs/cgroup/*; do
            test -e $dir/release_agent && (echo /agent >$dir/release_agent) && echo an agent in $dir
        done
        echo tried",
        with_agent.join(" "),
        without.join(" ")
    );
    let before = release_agents();
    assert!(!before.is_empty(), "a hierarchy of version 1 has a file for it");
    let all = ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_CHOWN", "CAP_FOWNER", "CAP_SETFCAP", "CAP_MKNOD"];
    for capabilities in [&[][..], &["CAP_KILL"], &["CAP_SYS_ADMIN"], &all] {
        for own_namespace in [true, false] {
            // Also with all capabilities in a user namespace of its own.
            let flags = (libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWCGROUP).to_string();
            for under in [&[][..], &["probe", "unshare", &flags]] {
                let args: Vec<&str> = under.iter().copied().chain(["sh", "-c", &script]).collect();
                let mut bundle = t.bundle(&args);
                t.with_probe(&bundle);
                bundle.mapped().capabilities(capabilities);
                if !own_namespace {
                    bundle.without_namespace("cgroup");
                }
                bundle.mount(MOUNT, "cgroup", "cgroup", &["rw"]);
                let output = t.run(bundle.write()).ok();
                let case = format!("{capabilities:?}, own namespace: {own_namespace}, {under:?}: {output}");
                assert_eq!(output.stdout, "tried\n", "{case}");
                assert!(output.stderr.matches("mount").count() >= with_agent.len(), "{case}");
                println!("{}", output.stderr);
            }
        }
    }
    assert_eq!(release_agents(), before, "the host's");
}

/// Tries paths that go up, spelled in different ways.
fn program_of_exec_cannot_leave_the_containers_cgroup(t: &Test) {
    let mut bundle = t.bundle(&["sleep", "1000"]);
    bundle.mount(MOUNT, "cgroup", "cgroup", &["rw"]);
    let pid = start(t, &bundle).expect("root has cgroups");
    let own = cgroups_of(&pid);
    let exec = |cgroup: &str| {
        let exec = by_path(t, &["exec", "-d", "--pid-file"]).arg(t.path("pid")).args(&["--cgroup", cgroup]);
        exec.arg(t.id("c")).args(&["sleep", "1000"]).output()
    };
    let controller = if is_unified() { "" } else { "pids:" };
    for up in [
        "..",
        "../..",
        "/..",
        "./..",
        "//..//",
        "a/../..",
        "a/b/../../..",
        "../c",
        "a/../../a",
        "../../../../..",
    ] {
        for prefix in ["", controller] {
            let refused = exec(&format!("{prefix}{up}"));
            refused.fails_with(&["bad sub cgroup path"]);
        }
    }
    // Names that merely look similar are looked up in the container's cgroup, where they do not exist.
    for name in ["...", ".. ", "..%2f..", "a\\..\\.."] {
        exec(name).fails_with(&["to cgroups", "No such file"]);
    }
    for inside in [".", "/", "a/..", "/./a/../"] {
        exec(inside).ok();
        let joined = cgroups_of(&fs::read_to_string(t.path("pid")).expect("the pid file"));
        assert_eq!(joined, own, "{inside}");
    }
    t.delete_force("c").ok();
}
