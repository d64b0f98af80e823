//! Mounts of type `cgroup`: versions 1 and 2, with and without a cgroup namespace.

use std::fs;

use rootling_tests::cgroups::{MOUNT, is_unified};
use rootling_tests::mountinfo::Mounts;
use rootling_tests::{Bundle, Cmd, Output, Test, Variation, Who, both, root, skip};

both!(
    version_2_is_mounted_whole,
    version_2_without_a_namespace_is_the_hosts,
    read_only_cgroup_refuses_writes,
    each_hierarchy_of_version_1_is_a_directory,
);
root!(hierarchies_are_writable_where_asked);

const CLOSED: [&str; 5] = ["nosuid", "noexec", "nodev", "relatime", "ro"];

fn with_cgroups(t: &Test, script: &str, options: &[&str]) -> Bundle {
    let mut bundle = t.shell(script);
    bundle.mount(MOUNT, "cgroup", "cgroup", options);
    bundle
}

/// Runs the command where only version 2 is mounted: on this host, or in a separate mount namespace.
fn unified(t: &Test, command: Cmd) -> Option<Output> {
    if is_unified() {
        return Some(command.output());
    }
    const MOUNT_V2: &str = "mount -t cgroup2 cgroup2 /sys/fs/cgroup";
    match t.who() {
        Who::Root => {
            let script = format!("{MOUNT_V2} && exec \"$0\" \"$@\"");
            Some(command.under(&["unshare", "-m", "--propagation", "private", "sh", "-c", &script]).output())
        }
        Who::User => Some(Variation::of(t)?.line(MOUNT_V2).run(command).output()),
    }
}

fn version_2_is_mounted_whole(t: &Test) {
    let bundle = with_cgroups(t, "grep -c . /sys/fs/cgroup/cgroup.procs; cat /proc/self/mountinfo", &CLOSED);
    let Some(output) = unified(t, t.run_command(bundle.write())) else { return };
    let (procs, mountinfo) = output
        .clone()
        .ok()
        .stdout
        .split_once('\n')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .expect("two parts");
    assert_ne!(procs, "0", "{output}");
    let mounts = Mounts::parse(&mountinfo);
    let mount = mounts.at(MOUNT);
    // The container's own cgroup is the root of what it sees.
    assert_eq!((mount.kind.as_str(), mount.root.as_str()), ("cgroup2", "/"));
    mount.assert_options("ro,nosuid,nodev,noexec,relatime", &"cgroup2");
}

fn version_2_without_a_namespace_is_the_hosts(t: &Test) {
    let mut bundle = with_cgroups(t, "cat /proc/self/mountinfo", &CLOSED);
    bundle.without_namespace("cgroup");
    let Some(output) = unified(t, t.run_command(bundle.write())) else { return };
    // Bind-mounted, since mounting requires a cgroup namespace of its own.
    let mounts = Mounts::parse(&output.ok().stdout);
    let mount = mounts.at(MOUNT);
    assert_eq!((mount.kind.as_str(), mount.root.as_str()), ("cgroup2", "/"));
    mount.assert_options("ro,nosuid,nodev,noexec,relatime", &"cgroup2");
}

fn read_only_cgroup_refuses_writes(t: &Test) {
    let bundle = with_cgroups(t, "mkdir /sys/fs/cgroup/new", &CLOSED);
    let Some(output) = unified(t, t.run_command(bundle.write())) else { return };
    assert!(output.exit() == 1 && output.stderr.contains("Read-only file system"), "{output}");
}

/// The version 1 hierarchies of the host, by the names of their directories.
fn hierarchies() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").expect("mounts of the host");
    let points =
        text.lines().filter(|line| line.contains(" - cgroup ")).filter_map(|line| line.split(' ').nth(4));
    points.filter_map(|point| Some(point.strip_prefix(MOUNT)?.trim_start_matches('/').to_owned())).collect()
}

/// Whether there is version 1; prints a message if not.
fn has_version_1() -> bool {
    if hierarchies().is_empty() {
        skip("no hierarchy of cgroup version 1 is mounted here");
    }
    !hierarchies().is_empty()
}

fn each_hierarchy_of_version_1_is_a_directory(t: &Test) {
    if !has_version_1() {
        return;
    }
    let script = "for d in /sys/fs/cgroup/*/; do grep -qx 1 $d/cgroup.procs || echo not in $d; done; cat /proc/self/mountinfo";
    for own_namespace in [true, false] {
        let mut bundle = with_cgroups(t, script, &CLOSED);
        if !own_namespace {
            bundle.without_namespace("cgroup");
        }
        let output = t.run(bundle.write()).ok();
        assert!(!output.stdout.contains("not in"), "{output}");
        let mounts = Mounts::parse(&output.stdout);
        assert_eq!(mounts.at(MOUNT).kind, "tmpfs");
        // It is the container's own, as with runc.
        assert!(mounts.at(MOUNT).options.contains("rw"), "{output}");
        for name in hierarchies() {
            let mount = mounts.at(&format!("{MOUNT}/{name}"));
            assert_eq!(mount.kind, "cgroup");
            mount.assert_options("ro,nosuid,nodev,noexec,relatime", &name);
            // With a namespace its own cgroup is the root of what it sees; an ordinary user's container has no
            // cgroup of its own.
            assert!(!own_namespace || mount.root == "/", "{name}: {mount:?}");
            let named = own_namespace || t.who() == Who::User || mount.root.ends_with(&t.id("c"));
            assert!(named, "{name}: {mount:?}");
        }
    }
}

fn hierarchies_are_writable_where_asked(t: &Test) {
    if !has_version_1() {
        return;
    }
    let names = hierarchies();
    let name = names.iter().find(|name| *name == "pids").unwrap_or(&names[0]);
    let script = format!(
        "mkdir /sys/fs/cgroup/{name}/below && echo made; echo 1 >/sys/fs/cgroup/{name}/below/cgroup.procs"
    );
    let bundle = with_cgroups(t, &script, &["nosuid", "noexec", "nodev", "rw"]);
    assert_eq!(t.run(bundle.write()).ok().stdout, "made\n");
}
