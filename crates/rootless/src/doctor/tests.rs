//! Tests each check on the host that it is about.

use rootling_config::remedies::Family;

use super::Verdict::{Failed, Warning};
use super::*;
use crate::host::Fixture;

const CGROUP2: u64 = 0x6367_7270;

/// A host on which everything is as it should be.
fn healthy() -> Fixture {
    Fixture::ordinary(1000)
        .file("/etc/passwd", "alice:x:1000:1000::/home/alice:/bin/sh\n")
        .file("/etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n")
        .file("/etc/subuid", "alice:100000:65536\n")
        .file("/etc/subgid", "alice:100000:65536\n")
        .id_helpers()
        .program("/usr/bin/pasta", 0o755)
        .output("/usr/bin/pasta --version", "pasta 2025_09_19.623dbf6\n")
        .program("/dev/net/tun", 0o666)
        .file("/proc/key-users", " 1000: 7 7/7 5/200 90/20000\n")
        .file("/proc/sys/net/ipv4/ping_group_range", "0\t2147483647\n")
        .variable("XDG_RUNTIME_DIR", "/run/user/1000")
        .directory_of("/run/user/1000", 0o700, 1000)
        .fs("/sys/fs/cgroup", CGROUP2)
        .file("/proc/self/cgroup", "0::/mine\n")
        .cgroup("/sys/fs/cgroup/mine", "cpuset cpu io memory pids")
}

fn check(machine: Fixture, name: &str) -> Check {
    let all = examine(&Host::on(machine));
    all.into_iter().find(|check| check.name == name).unwrap_or_else(|| panic!("no check {name}"))
}

#[test]
fn all_is_well_on_a_healthy_host() {
    let checks = examine(&Host::on(healthy()));
    for check in &checks {
        assert_eq!((check.verdict, &check.fix), (Verdict::Ok, &None), "{check:?}");
    }
    assert!(checks.len() >= 9, "{checks:?}");
}

type Case = (&'static str, Fixture, Verdict, &'static str, &'static str);

/// The name of the check, the host, the verdict, a part of what was found, and a part of the fix.
fn assert_found<const N: usize>(cases: [Case; N]) {
    for (name, machine, verdict, found, fix) in cases {
        let check = check(machine, name);
        assert_eq!(check.verdict, verdict, "{check:?}");
        assert!(check.found.contains(found), "{check:?}");
        assert!(check.fix.as_ref().is_some_and(|text| text.contains(fix)), "{fix}: {check:?}");
        for text in [&check.found, &check.needed, &check.why] {
            assert!(!text.is_empty() && !text.contains('\n'), "{check:?}");
        }
    }
}

#[test]
fn what_the_kernel_forbids_is_found_with_its_fix() {
    let zero = |path: &str| healthy().file(path, "0\n");
    assert_found([
        ("kernel", healthy().kernel("5.10.0-9-amd64"), Failed, "5.10.0-9-amd64", "newer kernel"),
        (
            "user namespaces",
            zero("/proc/sys/kernel/unprivileged_userns_clone"),
            Failed,
            "kernel.unprivileged_userns_clone is 0",
            "echo 'kernel.unprivileged_userns_clone = 1' >> /etc/sysctl.d/90-rootling.conf && sysctl --system",
        ),
        (
            "user namespaces",
            zero("/proc/sys/user/max_user_namespaces"),
            Failed,
            "user.max_user_namespaces is 0",
            "user.max_user_namespaces = 28633",
        ),
        (
            "user namespaces",
            healthy().file("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"),
            Failed,
            "kernel.apparmor_restrict_unprivileged_userns is 1",
            " profile apparmor > /etc/apparmor.d/rootling && apparmor_parser -r /etc/apparmor.d/rootling",
        ),
        ("/proc", healthy().mount_point("/proc/kcore"), Warning, "mounted over", "unmask=ALL"),
    ]);
}

#[test]
fn missing_ids_are_found_with_their_fix() {
    assert_found([
        (
            "/etc/subuid",
            healthy().file("/etc/subuid", ""),
            Warning,
            "none for alice",
            "usermod --add-subuids 100000-165535 alice",
        ),
        (
            "/etc/subgid",
            healthy().file("/etc/subgid", "bob:100000:9\n"),
            Warning,
            "none for alice",
            "usermod --add-subgids 100009-165544 alice",
        ),
        (
            "/etc/subuid",
            healthy().file("/etc/subuid", "alice:500:5000\n"),
            Failed,
            "contains the caller's own uid 1000",
            "remove that line from /etc/subuid",
        ),
        (
            "/etc/subuid",
            healthy().file("/etc/subuid", "alice:100000:10\n"),
            Warning,
            "10 ids by /etc/subuid: 100000:10",
            "usermod",
        ),
        (
            "newuidmap",
            healthy().program("/usr/bin/newuidmap", 0),
            Warning,
            "not installed",
            "apt-get install uidmap",
        ),
        (
            "newgidmap",
            healthy().program("/usr/bin/newgidmap", 0o755),
            Warning,
            "neither the set-user-id bit nor cap_setgid",
            "chmod u+s /usr/bin/newgidmap",
        ),
        ("newuidmap", healthy().no_new_privs(), Warning, "no_new_privs", "without no_new_privs"),
    ]);
}

#[test]
fn places_and_limits_are_found_with_their_fix() {
    assert_found([
        (
            "runtime directory",
            healthy().variable("XDG_RUNTIME_DIR", "/run/user/7"),
            Failed,
            "/run/user/7, which is not",
            "unset XDG_RUNTIME_DIR",
        ),
        (
            "runtime directory",
            healthy().variable("XDG_RUNTIME_DIR", "").directory_of("/run/user/1000", 0o700, 0),
            Warning,
            "/tmp/rootling-1000 is used",
            "loginctl enable-linger alice",
        ),
        (
            "directories",
            healthy()
                .variable("PWD", "/home/bob/x")
                .directory("/home/bob")
                .directory("/home")
                .closed("/home/bob"),
            Warning,
            "/home/bob does not let the caller pass",
            "chmod o+x /home/bob",
        ),
        (
            "keyring quota",
            healthy().file("/proc/key-users", " 1000: 7 7/7 200/200 9/9\n"),
            Failed,
            "200 of 200",
            "kernel.keys.maxkeys = 2000",
        ),
        (
            "keyring quota",
            healthy().file("/proc/key-users", " 1000: 7 7/7 190/200 9/9\n"),
            Warning,
            "190 of 200",
            "kernel.keys.maxkeys",
        ),
        (
            "ping groups",
            healthy().file("/proc/sys/net/ipv4/ping_group_range", "1\t0\n"),
            Warning,
            "1 0",
            "net.ipv4.ping_group_range = 0 2147483647",
        ),
    ]);
}

#[test]
fn cgroups_are_found_with_their_fix() {
    assert_found([
        ("cgroups", healthy().fs("/sys/fs/cgroup", 0x0102_1994), Warning, "version 1", "update-grub"),
        ("cgroups", healthy().fs("/sys/fs/cgroup", 0), Warning, "not mounted", "unified_cgroup_hierarchy"),
        (
            "cgroups",
            healthy().cgroup("/sys/fs/cgroup/mine", "memory pids"),
            Warning,
            "delegated: memory, pids",
            "Delegate=cpu cpuset io memory pids",
        ),
        (
            "cgroups",
            healthy().file("/proc/self/cgroup", "0::/other\n"),
            Warning,
            "nothing delegated",
            "user@.service.d",
        ),
    ]);
}

#[test]
fn a_session_directory_does_without_the_variable() {
    let check = check(healthy().variable("XDG_RUNTIME_DIR", ""), "runtime directory");
    assert_eq!(check.verdict, Verdict::Ok);
    assert!(check.found.contains("/run/user/1000 is used"), "{check:?}");
}

/// An os-release, the family that it names, and a part of the fix for newuidmap, /etc/subuid, user namespaces and
/// cgroups.
const DISTRIBUTIONS: [(&str, Family, [&str; 4]); 9] = [
    (
        "ID=ubuntu\nID_LIKE=debian\n",
        Family::Debian,
        ["apt-get install uidmap", "usermod", "sysctl --system", "user@.service.d"],
    ),
    (
        "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n",
        Family::Debian,
        ["apt-get", "usermod", "sysctl --system", "user@.service.d"],
    ),
    ("ID=fedora\n", Family::Fedora, ["dnf", "usermod", "sysctl --system", "user@.service.d"]),
    (
        "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n",
        Family::Fedora,
        ["dnf", "usermod", "sysctl --system", "user@.service.d"],
    ),
    ("ID=arch\n", Family::Arch, ["pacman -S shadow", "usermod", "sysctl --system", "user@.service.d"]),
    (
        "ID=alpine\n",
        Family::Alpine,
        [
            "apk add shadow-uidmap",
            "echo 'alice:100000:65536' >> /etc/subuid",
            "sysctl -p",
            "Alpine has no delegation",
        ],
    ),
    (
        "ID=nixos\n",
        Family::NixOs,
        ["/run/wrappers/bin", "autoSubUidGidRange = true", "boot.kernel.sysctl", "configuration.nix"],
    ),
    (
        "ID=slackware\n",
        Family::Other,
        ["shadow or shadow-utils", "usermod", "sysctl --system", "user@.service.d"],
    ),
    ("", Family::Other, ["install the package", "usermod", "sysctl --system", "user@.service.d"]),
];

#[test]
fn fixes_are_in_the_words_of_the_distribution() {
    for (os_release, family, words) in DISTRIBUTIONS {
        let machine = || {
            healthy()
                .file("/etc/os-release", os_release)
                .file("/etc/subuid", "")
                .program("/usr/bin/newuidmap", 0)
                .file("/proc/sys/user/max_user_namespaces", "0")
                .cgroup("/sys/fs/cgroup/mine", "memory")
        };
        assert_eq!(Distribution::of(&Host::on(machine())).family, family, "{os_release}");
        for (name, words) in ["newuidmap", "/etc/subuid", "user namespaces", "cgroups"].into_iter().zip(words)
        {
            let fix = check(machine(), name).fix.unwrap();
            assert!(fix.contains(words), "{os_release}: {name}: {fix}");
        }
    }
}

#[test]
fn root_needs_no_ids_and_root_of_a_namespace_has_its_own() {
    let names = |machine: Fixture| -> Vec<&str> {
        examine(&Host::on(machine)).iter().map(|check| check.name).collect()
    };
    assert_eq!(names(Fixture::ordinary(0)), ["kernel", "runtime directory", "cgroups"]);
    let nested = Fixture::root_in_user_namespace(1000);
    assert!(!names(nested.clone()).contains(&"newuidmap"));
    let ids = check(nested.clone(), "ids");
    assert_eq!((ids.verdict, ids.found.as_str()), (Warning, "1 users and 1 groups in this user namespace"));
    let many = "0 1000 1\n1 100000 65536\n";
    let rich = nested.file("/proc/self/uid_map", many).file("/proc/self/gid_map", many);
    assert_eq!(check(rich, "ids").verdict, Verdict::Ok);
}

#[test]
fn confinement_is_suspected_only_after_a_failed_trial() {
    let machine = || {
        healthy()
            .file("/proc/self/status", "Seccomp:\t2\n")
            .file("/proc/self/attr/current", "crun (enforce)\n")
    };
    assert!(examine(&Host::on(machine())).iter().all(|check| check.verdict == Verdict::Ok));
    let found = suspects(&Host::on(machine()));
    let fixes: Vec<_> = found.iter().filter_map(|check| check.fix.as_deref()).collect();
    assert!(fixes[0].contains("apparmor=unconfined") && fixes[1].contains("seccomp=unconfined"), "{fixes:?}");
    // On a host without any container around it.
    assert!(fixes[0].contains("profile apparmor > /etc/apparmor.d/rootling"), "{fixes:?}");
    assert_eq!(suspects(&Host::on(healthy())), []);
}
