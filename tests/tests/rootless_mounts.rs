//! What an ordinary user gets in place of mounts that the kernel refuses.

use std::fs;
use std::path::PathBuf;

use rootling_tests::{Bundle, Test, Variation, user};
use serde_json::json;

user!(
    sys_of_a_shared_network_is_read_only_all_the_way_down,
    proc_of_shared_process_ids_is_the_hosts,
    shared_memory_of_a_shared_ipc_namespace_is_the_hosts,
    flags_of_the_sources_mount_are_kept,
    contrary_option_is_reported_and_with_strict_an_error,
    ids_in_options_stay_where_they_are_mapped,
    ping_groups_are_narrowed_to_those_that_are_mapped,
);

/// The mount points and options in lines of mountinfo; proc_pid_mountinfo(5).
fn mounts(mountinfo: &str) -> Vec<(PathBuf, Vec<String>)> {
    mountinfo
        .lines()
        .map(|line| {
            let fields: Vec<_> = line.split(' ').collect();
            (fields[4].into(), fields[5].split(',').map(str::to_owned).collect())
        })
        .collect()
}

fn options_of(mountinfo: &str, at: &str) -> Vec<String> {
    let found = mounts(mountinfo).into_iter().rev().find(|(point, _)| point.to_str() == Some(at));
    found.unwrap_or_else(|| panic!("no mount at {at}: {mountinfo}")).1
}

fn sys_of_a_shared_network_is_read_only_all_the_way_down(t: &Test) {
    let mut bundle = t.shell(
        "cat /proc/self/mountinfo; ls /sys/class/net >/dev/null; touch /sys/x 2>/dev/null || echo refused",
    );
    bundle.without_namespace("network").remove("/linux/maskedPaths");
    let output = t.run(bundle.write()).ok();
    assert!(output.stdout.ends_with("refused\n"), "{output}");
    let lines: Vec<_> = output.stdout.lines().filter(|line| line.contains(" - ")).collect();
    let below: Vec<_> =
        mounts(&lines.join("\n")).into_iter().filter(|(at, _)| at.starts_with("/sys")).collect();
    let host = fs::read_to_string("/proc/self/mountinfo").expect("read mountinfo");
    let hosts = mounts(&host).iter().filter(|(at, _)| at.starts_with("/sys")).count();
    assert_eq!(below.len(), hosts, "the whole of the host's /sys: {output}");
    for (at, options) in below {
        assert!(options.iter().any(|option| option == "ro"), "{}: {options:?}", at.display());
    }
    let top = options_of(&lines.join("\n"), "/sys");
    for wanted in ["nosuid", "nodev", "noexec"] {
        assert!(top.iter().any(|option| option == wanted), "{wanted}: {top:?}");
    }
}

fn proc_of_shared_process_ids_is_the_hosts(t: &Test) {
    let mut bundle = t.shell("cat /proc/$TESTS/comm; grep -c ' /proc/sys ' /proc/self/mountinfo");
    bundle.without_namespace("pid");
    bundle.set("/process/env/-", format!("TESTS={}", std::process::id()).into());
    let output = t.run_command(bundle.write()).output();
    let own = fs::read_to_string("/proc/self/comm").expect("our name");
    // grep exits with 1, since there is no mount for the read-only path.
    assert_eq!((output.stdout.as_str(), output.exit()), (format!("{own}0\n").as_str(), 1), "{output}");
}

fn shared_memory_of_a_shared_ipc_namespace_is_the_hosts(t: &Test) {
    let name = format!("/dev/shm/{}", t.marker());
    let mut bundle = t.shell("cat /dev/shm/$ROOTLING_TEST; echo from inside > /dev/shm/$ROOTLING_TEST");
    bundle.without_namespace("ipc").write();
    t.command("sh").args(&["-c", "echo from outside > \"$0\"", &name]).output().ok();
    let output = t.run(&bundle);
    let after = fs::read_to_string(&name).expect("the shared file");
    fs::remove_file(&name).expect("remove the shared file");
    assert_eq!(output.ok().stdout, "from outside\n");
    assert_eq!(after, "from inside\n");
}

/// A host with a tmpfs at `source` that has flags which the caller may not clear.
fn with_source<'a>(t: &'a Test, source: &str) -> Option<Variation<'a>> {
    let mount = format!("mount -t tmpfs -o nosuid,nodev,noexec,mode=777 none {source}");
    Some(Variation::of(t)?.line(&format!("mkdir -p {source} && {mount}")))
}

fn bind(t: &Test, source: &str, options: &[&str]) -> Bundle {
    let mut bundle = t.shell("cat /proc/self/mountinfo");
    let mount = json!({"destination": "/mnt", "type": "bind", "source": source, "options": options});
    bundle.set("/mounts/-", mount).write();
    bundle
}

fn flags_of_the_sources_mount_are_kept(t: &Test) {
    let source = t.path("locked").display().to_string();
    for options in [&["bind", "ro"][..], &["rbind", "rw", "noatime"], &["bind", "nosuid"], &["rbind"]] {
        let Some(host) = with_source(t, &source) else { return };
        let output = host.run(t.run_command(&bind(t, &source, options))).output().ok();
        let found = options_of(&output.stdout, "/mnt");
        for wanted in ["nosuid", "nodev", "noexec"] {
            assert!(found.iter().any(|option| option == wanted), "{wanted} for {options:?}: {found:?}");
        }
        assert_eq!(found.contains(&"ro".to_owned()), options.contains(&"ro"), "{options:?}: {found:?}");
    }
}

fn contrary_option_is_reported_and_with_strict_an_error(t: &Test) {
    let source = t.path("locked").display().to_string();
    let bundle = bind(t, &source, &["rbind", "exec"]);
    let Some(host) = with_source(t, &source) else { return };
    let output = host.run(t.run_command(&bundle)).output().ok();
    assert!(output.stderr.contains("/mnt: option \"exec\" replaced by \"noexec\""), "{output}");
    assert!(options_of(&output.stdout, "/mnt").contains(&"noexec".to_owned()), "{output}");
    let Some(host) = with_source(t, &source) else { return };
    let strict = t.rootling(&["run", "--strict", "-b"]).arg(bundle.dir()).arg(t.id("c"));
    host.run(strict).output().fails_with(&[
        "mounts[6]: /mnt: option \"exec\"",
        "has noexec",
        "without --strict",
    ]);
}

fn ids_in_options_stay_where_they_are_mapped(t: &Test) {
    let mut bundle = t.shell("stat -c %u:%g /mnt /opt; cat /proc/self/mountinfo");
    let tmpfs = |at: &str, ids: [&str; 2]| json!({"destination": at, "type": "tmpfs", "source": "tmpfs", "options": ids});
    bundle.set("/mounts/-", tmpfs("/mnt", ["uid=0", "gid=0"]));
    bundle.set("/mounts/-", tmpfs("/opt", ["uid=7", "gid=70000"]));
    // What every engine writes, although it is not mapped here.
    bundle.set("/mounts/2/options/-", "gid=5".into());
    let output = t.run(bundle.write()).ok();
    assert!(output.stdout.starts_with("0:0\n0:0\n"), "{output}");
    assert_eq!(output.stderr, "");
}

fn ping_groups_are_narrowed_to_those_that_are_mapped(t: &Test) {
    let mut bundle = t.bundle(&["cat", "/proc/sys/net/ipv4/ping_group_range"]);
    bundle.set("/linux/sysctl", json!({"net.ipv4.ping_group_range": "0 2147483647"}));
    assert_eq!(t.run(bundle.write()).ok().stdout, "0\t0\n");
}
