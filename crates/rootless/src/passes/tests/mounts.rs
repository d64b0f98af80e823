use super::*;
use rootling_sys::mount::{
    ST_NOATIME, ST_NODEV, ST_NODIRATIME, ST_NOEXEC, ST_NOSUID, ST_RDONLY, ST_RELATIME,
};

fn v2() -> Fixture {
    alice().fs("/sys/fs/cgroup", CGROUP2)
}

#[test]
fn sysfs_without_an_own_network_becomes_a_bind_in_its_place() {
    let mut spec = sharing(&["network"]);
    spec["mounts"] = usual_mounts();
    let outcome = adapted(spec, v2());
    assert_eq!(
        outcome.destinations(),
        ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"]
    );
    assert_eq!(
        *outcome.mount("/sys"),
        json!({"destination": "/sys", "type": "bind", "source": "/sys",
               "options": ["rbind", "nosuid", "noexec", "nodev", "ro", "rro"]})
    );
    assert_eq!(outcome.mount("/sys/fs/cgroup")["type"], "cgroup");
}

#[test]
fn an_older_kernel_binds_sys_read_only_at_the_top_and_says_so() {
    let mut spec = sharing(&["network"]);
    spec["mounts"] = usual_mounts();
    let outcome = adapted(spec, v2().kernel("5.10.0"));
    assert_eq!(outcome.mount("/sys")["options"], json!(["rbind", "nosuid", "noexec", "nodev", "ro"]));
    assert_eq!(outcome.warnings().len(), 1);
}

#[test]
fn what_is_mounted_below_sys_goes_with_it_except_what_comes_from_elsewhere() {
    let mut spec = sharing(&["network"]);
    spec["mounts"] = json!([
        {"destination": "/sys/fs/bpf", "type": "bpf", "source": "bpf"},
        {"destination": "/data", "type": "bind", "source": "/sys/x", "options": ["bind"]},
        {"destination": "/sys/", "type": "sysfs", "source": "sysfs"},
        {"destination": "/sys/kernel/debug", "type": "bind", "source": "/sys/kernel/debug", "options": ["rbind"]},
        {"destination": "/sys/class/net", "type": "bind", "source": "/mine", "options": ["bind"]},
        {"destination": "/sys/firmware", "type": "tmpfs", "source": "tmpfs"},
        {"destination": "/system", "type": "tmpfs", "source": "tmpfs"}
    ]);
    let outcome = adapted(spec, v2());
    assert_eq!(outcome.destinations(), ["/sys", "/data", "/sys/class/net", "/sys/firmware", "/system"]);
    assert!(outcome.says("mounts: /sys/fs/bpf, /sys, /sys/kernel/debug: replaced"));
}

#[test]
fn a_sysfs_elsewhere_is_bound_there() {
    let mut spec = sharing(&["network"]);
    spec["mounts"] = json!([{"destination": "/host/sys", "type": "sysfs", "source": "sysfs"}]);
    let outcome = adapted(spec, v2());
    assert_eq!(outcome.mount("/host/sys")["source"], "/sys");
    assert_eq!(outcome.destinations(), ["/host/sys"]);
}

#[test]
fn sysfs_stays_where_the_network_is_the_containers_own() {
    let user_path = json!({"type": "user", "path": "/proc/7/ns/user"});
    let net_path = json!({"type": "network", "path": "/proc/7/ns/net"});
    for (name, network, user, kept) in [
        ("new", json!({"type": "network"}), json!({"type": "user"}), true),
        ("joined with its user namespace", net_path.clone(), user_path.clone(), true),
        ("joined without", net_path.clone(), json!({"type": "user"}), false),
        (
            "the caller's own by path",
            json!({"type": "network", "path": "/proc/self/ns/net"}),
            user_path,
            false,
        ),
    ] {
        let mut spec = rootless_spec();
        spec["mounts"] = usual_mounts();
        spec["linux"]["namespaces"] =
            json!([{"type": "mount"}, {"type": "pid"}, {"type": "ipc"}, {"type": "cgroup"}, network, user]);
        let machine = v2()
            .namespace("/proc/self/ns/net", 1)
            .namespace("/proc/7/ns/net", 2)
            .namespace("/proc/self/ns/user", 3)
            .namespace("/proc/7/ns/user", 4)
            .owned("/proc/self/ns/net", "/proc/self/ns/user")
            .owned("/proc/7/ns/net", "/proc/7/ns/user");
        assert_eq!(adapted(spec, machine).mount("/sys")["type"] == "sysfs", kept, "{name}");
    }
}

#[test]
fn root_of_a_user_namespace_keeps_sysfs_where_the_network_belongs_to_it() {
    let joined = |path: &str| {
        let mut spec = usual_spec();
        spec["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "pid"}, {"type": "ipc"}, {"type": "cgroup"}, {"type": "network", "path": path}]);
        spec
    };
    let mut shared = usual_spec();
    shared["linux"]["namespaces"] = namespaces(&["mount", "pid", "ipc", "cgroup"]);
    let nested = || {
        Fixture::root_in_user_namespace(1000)
            .fs("/sys/fs/cgroup", CGROUP2)
            .namespace("/proc/self/ns/user", 1)
            .namespace("/outer/user", 2)
            .namespace("/proc/self/ns/net", 3)
            .namespace("/run/netns/x", 4)
    };
    let own = "/proc/self/ns/user";
    for (name, spec, machine, kept) in [
        ("joined, ours", joined("/run/netns/x"), nested().owned("/run/netns/x", own), true),
        ("joined, another's", joined("/run/netns/x"), nested().owned("/run/netns/x", "/outer/user"), false),
        ("joined, unknown", joined("/run/netns/x"), nested(), false),
        (
            "own by path",
            joined("/proc/self/ns/net"),
            nested().owned("/proc/self/ns/net", "/outer/user"),
            false,
        ),
        ("shared, ours", shared.clone(), nested().owned("/proc/self/ns/net", own), true),
        ("shared, the host's", shared.clone(), nested().owned("/proc/self/ns/net", "/outer/user"), false),
        (
            "ours, but covered",
            shared,
            nested().owned("/proc/self/ns/net", own).mount_point("/sys/firmware"),
            false,
        ),
    ] {
        assert_eq!(adapted(spec, machine).mount("/sys")["type"] == "sysfs", kept, "{name}");
    }
}

#[test]
fn inside_a_user_namespace_any_mount_over_proc_or_sys_covers_it() {
    let line = |at: &str| format!("22 21 0:5 / {at} rw - tmpfs none rw\n");
    let mut spec = usual_spec();
    spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
    for (mounts, proc, sys) in [
        (
            vec!["/", "/proc", "/sys", "/sys/fs/cgroup", "/sys/fs/cgroup/memory", "/proc/sys/fs/binfmt_misc"],
            "proc",
            "sysfs",
        ),
        (vec!["/proc", "/proc/acpi"], "bind", "sysfs"),
        (vec!["/sys", "/sys/devices/virtual"], "proc", "bind"),
        (vec!["/process/x", "/system"], "proc", "sysfs"),
    ] {
        let text: String = mounts.iter().map(|at| line(at)).collect();
        let machine = Fixture::root_in_user_namespace(1000)
            .fs("/sys/fs/cgroup", CGROUP2)
            .file("/proc/self/mountinfo", &text);
        let outcome = adapted(spec.clone(), machine);
        assert_eq!(
            (outcome.mount("/proc")["type"].as_str(), outcome.mount("/sys")["type"].as_str()),
            (Some(proc), Some(sys)),
            "{mounts:?}"
        );
    }
}

#[test]
fn a_covered_sys_is_bound_even_with_an_own_network() {
    let outcome = adapted(usual_spec(), v2().mount_point("/sys/firmware"));
    assert_eq!(outcome.mount("/sys")["type"], "bind");
}

#[test]
fn cgroup_mounts_stay_where_there_are_cgroups() {
    let bound = rootless_spec;
    let mounted = || {
        let mut spec = usual_spec();
        spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
        spec
    };
    let without_namespace = |mut spec: Value| {
        spec["linux"]["namespaces"].as_array_mut().unwrap().retain(|entry| entry["type"] != "cgroup");
        spec
    };
    for (name, magic, spec, kept) in [
        ("v2, own namespace, bound /sys", CGROUP2, bound(), true),
        ("v2, own namespace, sysfs", CGROUP2, mounted(), true),
        ("v2, no namespace, bound /sys", CGROUP2, without_namespace(bound()), true),
        ("v2, no namespace, sysfs", CGROUP2, without_namespace(mounted()), true),
        ("v1, own namespace, bound /sys", TMPFS, bound(), true),
        ("v1, own namespace, sysfs", TMPFS, mounted(), true),
        ("none mounted, bound /sys", 0, bound(), false),
    ] {
        let outcome = adapted(spec, alice().fs("/sys/fs/cgroup", magic));
        assert_eq!(outcome.destinations().contains(&"/sys/fs/cgroup"), kept, "{name}");
        assert_eq!(outcome.says("mounts: cgroup on /sys/fs/cgroup: dropped"), !kept, "{name}");
    }
}

#[test]
fn ids_in_options_stay_when_they_are_mapped() {
    let mounts = json!([
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "gid=5"]},
        {"destination": "/t", "type": "tmpfs", "source": "tmpfs", "options": ["uid=0", "gid=0", "uid=70000", "uid=me", "xuid=70000"]},
        {"destination": "/b", "type": "bind", "source": "/b", "options": ["bind", "uid=70000"]}
    ]);
    let mut one = rootless_spec();
    one["mounts"] = mounts.clone();
    let outcome = adapted(one, alice());
    assert_eq!(outcome.mount("/dev/pts")["options"], json!(["newinstance"]));
    assert!(outcome.says("/dev/pts: dropped option \"gid=5\": gid 5 is not mapped in the container"));
    assert_eq!(outcome.mount("/t")["options"], json!(["uid=0", "gid=0", "uid=me", "xuid=70000"]));
    assert_eq!(
        outcome.mount("/b")["options"],
        json!(["bind", "uid=70000"]),
        "a bind's options are judged elsewhere"
    );

    let mut many = sharing(&["user"]);
    many["mounts"] = mounts.clone();
    many["linux"]["uidMappings"] = json!([]);
    many["linux"]["gidMappings"] = json!([]);
    assert_eq!(adapted(many, alice()).mount("/dev/pts")["options"], json!(["newinstance", "gid=5"]));

    let joined = json!({"mounts": mounts, "linux": {"namespaces": [{"type": "mount"}, {"type": "user", "path": "/x"}]}});
    assert_eq!(adapted(joined, alice()).changes, [], "maps of a joined namespace are not known");
}

#[test]
fn root_of_a_user_namespace_has_the_ids_of_its_map() {
    let spec = || {
        let pts =
            json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["gid=5"]});
        json!({"mounts": [pts], "linux": {"namespaces": namespaces(&["mount"])}})
    };
    let one = Fixture::root_in_user_namespace(1000);
    assert_eq!(adapted(spec(), one.clone()).mount("/dev/pts")["options"], json!([]));
    let many = one.file("/proc/self/gid_map", "0 1000 1\n1 100000 65536\n");
    assert_eq!(adapted(spec(), many).mount("/dev/pts")["options"], json!(["gid=5"]));
}

#[test]
fn locked_flags_are_kept() {
    const ALL: u64 = ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC;
    const RELATIME: u64 = ST_RELATIME;
    for (given, flags, wanted, warnings) in [
        // Nothing is remounted, so nothing can be lost.
        (json!(["rbind"]), ALL, json!(["rbind"]), 0),
        (json!(["bind", "rprivate"]), ALL, json!(["bind", "rprivate"]), 0),
        // Flags that the remount would clear.
        (json!(["bind", "ro"]), ST_NOSUID | ST_NODEV, json!(["bind", "ro", "nosuid", "nodev"]), 0),
        (json!(["bind", "nosuid"]), ALL, json!(["bind", "nosuid", "ro", "nodev", "noexec"]), 0),
        (json!(["bind", "ro"]), RELATIME, json!(["bind", "ro"]), 0),
        // Contradictory options.
        (json!(["rbind", "rw"]), ST_NOEXEC, json!(["rbind", "rw", "noexec"]), 0),
        (json!(["rbind", "rw", "rprivate"]), ST_RDONLY, json!(["rbind", "rprivate", "ro"]), 1),
        (json!(["bind", "ro", "rw"]), ST_RDONLY, json!(["bind", "ro", "ro"]), 1),
        (json!(["bind", "rw", "ro"]), ST_RDONLY, json!(["bind", "rw", "ro"]), 0),
        (json!(["bind", "suid", "dev", "exec"]), ALL, json!(["bind", "ro", "nosuid", "nodev", "noexec"]), 3),
        // Access times.
        (json!(["bind", "noatime"]), RELATIME, json!(["bind", "relatime"]), 1),
        (json!(["bind", "relatime"]), RELATIME, json!(["bind", "relatime"]), 0),
        (
            json!(["bind", "nodiratime"]),
            ST_NOATIME | ST_NODIRATIME,
            json!(["bind", "noatime", "nodiratime"]),
            1,
        ),
        (json!(["bind", "noatime"]), 0, json!(["bind", "strictatime"]), 1),
    ] {
        let spec = json!({
            "mounts": [{"destination": "/d", "type": "bind", "source": "/src", "options": given}],
            "linux": {"namespaces": namespaces(&["mount", "user"]), "uidMappings": one_id(), "gidMappings": one_id()}
        });
        let outcome = adapted(spec, alice().mount_flags("/src", flags));
        assert_eq!(outcome.mount("/d")["options"], wanted, "{given}");
        assert_eq!(outcome.warnings().len(), warnings, "{given}: {:?}", outcome.changes);
    }
}

#[test]
fn a_relative_source_is_below_the_bundle_and_an_absent_one_is_left() {
    let bind = |source: &str| {
        json!({
            "mounts": [{"destination": "/d", "type": "none", "source": source, "options": ["bind", "ro"]}],
            "linux": {"namespaces": namespaces(&["mount", "user"]), "uidMappings": one_id(), "gidMappings": one_id()}
        })
    };
    let machine = || alice().mount_flags("/bundle/data", ST_NODEV);
    assert_eq!(adapted(bind("data"), machine()).mount("/d")["options"], json!(["bind", "ro", "nodev"]));
    assert_eq!(adapted(bind("absent"), machine()).mount("/d")["options"], json!(["bind", "ro"]));
}

#[test]
fn strict_refuses_to_replace_an_option() {
    let spec = json!({"mounts": [{"destination": "/d", "type": "bind", "source": "/src", "options": ["rbind", "rw"]}]});
    let error = try_adapt(spec, alice().mount_flags("/src", ST_RDONLY), &strict()).err().unwrap().to_string();
    assert!(error.starts_with("mounts[0]: /d: option \"rw\": the mount of /src has ro"), "{error}");
}

#[test]
fn sharing_process_ids_binds_proc_and_frees_its_read_only_paths() {
    let outcome = adapted(sharing(&["pid"]), v2());
    assert_eq!(
        *outcome.mount("/proc"),
        json!({"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind", "nosuid", "noexec", "nodev"]})
    );
    assert_eq!(outcome.json["linux"]["readonlyPaths"], json!(["/sys/devices"]));
    assert_eq!(outcome.json["linux"]["maskedPaths"], json!(["/proc/kcore", "/sys/firmware"]));
    assert!(outcome.warnings().is_empty());
}

#[test]
fn a_joined_pid_namespace_shares_only_when_it_is_the_callers() {
    for (path, bound) in
        [("/proc/self/ns/pid", true), ("/proc/9/ns/pid", true), ("/proc/7/ns/pid", false), ("/gone", false)]
    {
        let mut spec = sharing(&["pid"]);
        spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "pid", "path": path}));
        let machine = v2()
            .namespace("/proc/self/ns/pid", 1)
            .namespace("/proc/9/ns/pid", 1)
            .namespace("/proc/7/ns/pid", 2);
        assert_eq!(adapted(spec, machine).mount("/proc")["type"] == "bind", bound, "{path}");
    }
}

#[test]
fn sharing_ipc_binds_shared_memory_and_queues() {
    let machine = v2().directory("/dev/shm").directory("/dev/mqueue");
    let outcome = adapted(sharing(&["ipc"]), machine);
    for at in ["/dev/shm", "/dev/mqueue"] {
        let wanted = json!({"destination": at, "type": "bind", "source": at, "options": ["rbind", "nosuid", "noexec", "nodev"]});
        assert_eq!(*outcome.mount(at), wanted);
    }
    assert!(outcome.warnings().is_empty());

    let bare = adapted(sharing(&["ipc"]), v2());
    assert_eq!(bare.mount("/dev/shm")["type"], "tmpfs", "nothing to bind, and a tmpfs works");
    assert_eq!(bare.mount("/dev/mqueue")["type"], "tmpfs");
    assert_eq!(bare.warnings().len(), 1);
}

#[test]
fn a_covered_proc_is_bound_with_a_warning_or_refused() {
    for place in ["/proc/sys", "/proc/kcore"] {
        let outcome = adapted(rootless_spec(), v2().mount_point(place));
        assert_eq!(outcome.mount("/proc")["type"], "bind");
        assert_eq!(outcome.json["linux"]["readonlyPaths"], json!(["/sys/devices"]));
        assert!(outcome.warnings()[0].contains("the container sees the processes outside of it"));
    }
    let error =
        try_adapt(rootless_spec(), v2().mount_point("/proc/sys"), &strict()).err().unwrap().to_string();
    assert!(error.starts_with("mounts[0]: proc on /proc: the kernel refuses a new proc"), "{error}");
}
