//! `linux.namespaces` and what depends on it, checked from inside and from outside.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use rootling_tests::{Bundle, Cmd, Ids, Test, Who, both, eventually, root, skip, user};
use serde_json::{Value, json};

both!(
    each_namespace_is_new_or_the_callers,
    each_namespace_is_joined_by_path,
    mount_namespace_is_joined_by_path,
    wrong_path_is_an_error_that_names_it,
    time_namespace_has_both_offsets,
    wrong_offset_is_an_error,
    cgroup_namespace_hides_the_path,
    loopback_is_up_in_a_new_network_namespace,
    names_are_the_containers,
    names_need_their_namespace,
    sysctls_are_set_in_their_namespaces,
    sysctls_of_the_host_are_refused,
    network_device_is_moved_with_its_address,
    classes_of_resctrl_need_resctrl,
);
root!(containers_user_namespace_is_joined_by_root);
user!(
    namespace_of_somebody_else_is_an_error,
    sources_are_the_callers_also_in_a_user_namespace_that_is_joined,
);

/// The type in the specification, and the name in /proc/PID/ns.
const KINDS: [(&str, &str); 7] = [
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("cgroup", "cgroup"),
    ("time", "time"),
    ("mount", "mnt"),
];

/// Prints the namespaces in the order of [`KINDS`].
const SHOW: [&str; 3] =
    ["sh", "-c", "for kind in pid net ipc uts cgroup time mnt; do readlink /proc/self/ns/$kind; done"];

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// With a new namespace of each kind except for `without`; a user namespace only if the bundle has one.
fn namespaces(bundle: &mut Bundle, without: Option<&str>) {
    let kinds = KINDS.iter().filter(|(kind, _)| Some(*kind) != without);
    let mut all: Vec<_> = kinds.map(|(kind, _)| json!({"type": kind})).collect();
    if bundle.config.pointer("/linux/uidMappings").is_some() {
        all.push(json!({"type": "user"}));
    }
    bundle.set("/linux/namespaces", all.into());
}

fn each_namespace_is_new_or_the_callers(t: &Test) {
    let mut bundle = t.bundle(&SHOW);
    bundle.remove("/hostname").remove("/linux/maskedPaths").remove("/linux/readonlyPaths");
    let caller = lines(&t.command(SHOW[0]).args(&SHOW[1..]).output().ok().stdout);
    namespaces(&mut bundle, None);
    let new = lines(&t.run(bundle.write()).ok().stdout);
    for (number, (kind, _)) in KINDS.iter().enumerate() {
        assert_ne!(new[number], caller[number], "{kind}");
        // A test must not mount anything among the host's own mounts.
        if *kind == "mount" {
            continue;
        }
        namespaces(&mut bundle, Some(kind));
        let shared = lines(&t.run(bundle.write()).ok().stdout);
        assert_eq!(shared[number], caller[number], "{kind}");
    }
}

/// A running container with namespaces of its own, and what it sees of them.
fn first(t: &Test, bundle: &mut Bundle) -> Vec<String> {
    namespaces(bundle, None);
    bundle.set("/process/args", json!(["sleep", "1000"]));
    t.run_detached(bundle.write(), "first").ok();
    lines(&t.exec(&[""; 0], "first", &SHOW).output().ok().stdout)
}

fn path(t: &Test, file: &str) -> String {
    format!("/proc/{}/ns/{file}", t.state("first")["pid"])
}

/// Makes the bundle join the user namespace of the first container, if that has one.
fn join_user(t: &Test, bundle: &mut Bundle, first: &Bundle) {
    if first.config.pointer("/linux/uidMappings").is_some() {
        bundle.without_namespace("user").remove("/linux/uidMappings").remove("/linux/gidMappings");
        bundle.set("/linux/namespaces/-", json!({"type": "user", "path": path(t, "user")}));
    }
}

/// All except for the mount namespace of a container, in which nothing of the host can be found any more.
fn joinable() -> impl Iterator<Item = (usize, (&'static str, &'static str))> {
    KINDS.into_iter().enumerate().filter(|(_, (kind, _))| *kind != "mount")
}

fn joins_each(t: &Test, mut of_first: Bundle) {
    of_first.remove("/hostname");
    let theirs = first(t, &mut of_first);
    for (number, (kind, file)) in joinable() {
        let mut second = of_first.sibling(t, &SHOW);
        join_user(t, &mut second, &of_first);
        second
            .without_namespace(kind)
            .set("/linux/namespaces/-", json!({"type": kind, "path": path(t, file)}));
        let seen = lines(&t.run(second.write()).ok().stdout);
        for (other, (name, _)) in KINDS.iter().enumerate() {
            assert_eq!(seen[other] == theirs[other], other == number, "{name} of who joins {kind}");
        }
    }
    // All of them at the same time.
    let mut second = of_first.sibling(t, &SHOW);
    second.set("/linux/namespaces", json!([{"type": "mount"}]));
    join_user(t, &mut second, &of_first);
    for (_, (kind, file)) in joinable() {
        second.set("/linux/namespaces/-", json!({"type": kind, "path": path(t, file)}));
    }
    let seen = lines(&t.run(second.write()).ok().stdout);
    for (number, (kind, _)) in joinable() {
        assert_eq!(seen[number], theirs[number], "{kind}");
    }
    t.delete_force("first").ok();
}

fn each_namespace_is_joined_by_path(t: &Test) {
    joins_each(t, t.bundle(&["true"]));
}

/// The root file system is looked up in it.
fn mount_namespace_is_joined_by_path(t: &Test) {
    let mut bundle = t.shell("readlink /proc/self/ns/mnt; cat /seen");
    let flags = if t.who() == Who::Root { "-m" } else { "-Urm" };
    let place = t.path("place");
    fs::create_dir(&place).expect("make a directory");
    let script =
        "mount -t tmpfs tmpfs $0 && echo there >$0/file && readlink /proc/self/ns/mnt && exec sleep 1000";
    let holder = t.command("unshare").args(&[flags, "sh", "-c", script]).arg(&place).spawn();
    let mut namespace = String::new();
    eventually("the namespace is ready", || {
        namespace = holder.so_far().0;
        namespace.ends_with('\n')
    });
    let path = |file: &str| format!("/proc/{}/ns/{file}", holder.pid());
    bundle.mount("/seen", "bind", &place.join("file").to_string_lossy(), &["bind"]);
    bundle
        .without_namespace("mount")
        .set("/linux/namespaces/-", json!({"type": "mount", "path": path("mnt")}));
    if t.who() == Who::User {
        bundle.ids(Ids::None).set("/linux/namespaces/-", json!({"type": "user", "path": path("user")}));
    }
    assert_eq!(t.run(bundle.write()).ok().stdout, format!("{namespace}there\n"));
}

fn containers_user_namespace_is_joined_by_root(t: &Test) {
    let mut bundle = t.bundle(&["true"]);
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    let everybody = fs::Permissions::from_mode(0o755);
    fs::set_permissions(bundle.dir(), everybody).expect("chmod of the bundle");
    joins_each(t, bundle);
}

/// What only the caller may search is opened as the caller, whoever is root in the namespace: podman's pods with
/// `--userns auto`.
fn sources_are_the_callers_also_in_a_user_namespace_that_is_joined(t: &Test) {
    let mut of_first = t.bundle(&["true"]);
    let Some(Ids::Ranges { uid, gid, count }) = t.account().ranges() else {
        return skip("the user has no range in /etc/subuid and /etc/subgid");
    };
    let map = |host: u32| json!([{"containerID": 0, "hostID": host, "size": count}]);
    of_first.set("/linux/uidMappings", map(uid)).set("/linux/gidMappings", map(gid));
    first(t, &mut of_first);
    let closed = t.path("closed");
    fs::create_dir(&closed).expect("make a directory");
    fs::write(closed.join("file"), "of the caller\n").expect("write a file");
    std::os::unix::fs::chown(&closed, Some(t.account().uid), Some(t.account().gid)).expect("chown");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).expect("chmod");
    let mut second = of_first.sibling(t, &["true"]);
    join_user(t, &mut second, &of_first);
    // Its root may not write to the image.
    fs::write(of_first.rootfs("etc/bound"), "").expect("make a file");
    fs::create_dir(of_first.rootfs("dir")).expect("make a directory");
    of_first.own_all();
    second.mount("/etc/bound", "bind", &closed.join("file").to_string_lossy(), &["bind", "ro"]);
    second.mount("/dir", "bind", &closed.to_string_lossy(), &["rbind", "ro"]);
    t.run(second.write()).ok();
    t.delete_force("first").ok();
}

fn wrong_path_is_an_error_that_names_it(t: &Test) {
    let file = t.path("file");
    fs::write(&file, "").expect("write a file");
    let file = file.to_string_lossy().into_owned();
    for (kind, path) in [
        ("network", "/no/such/namespace"),
        ("network", file.as_str()),
        ("ipc", "/proc/self/ns/uts"),
        ("mount", "/proc/self/ns/net"),
        ("time", "/proc/self/ns/pid"),
    ] {
        let mut bundle = t.bundle(&["true"]);
        bundle.without_namespace(kind).set("/linux/namespaces/-", json!({"type": kind, "path": path}));
        t.run(bundle.write()).fails_with(&[kind, path]);
    }
    for (namespace, parts) in [
        (json!({"type": "pid", "path": "relative"}), ["linux.namespaces", "relative"]),
        (json!({"type": "pid"}), ["malformed spec", "duplicated namespace \"pid\""]),
        (json!({"type": "galaxy"}), ["linux.namespaces", "galaxy"]),
    ] {
        let mut bundle = t.bundle(&["true"]);
        if namespace["path"] == "relative" {
            bundle.without_namespace("pid");
        }
        bundle.set("/linux/namespaces/-", namespace);
        t.run(bundle.write()).fails_with(&parts);
    }
}

/// Message queues of an ordinary user need a separate ipc namespace, which would result in a warning.
fn without_mqueue(bundle: &mut Bundle) {
    let mounts = bundle.config["mounts"].as_array_mut().expect("mounts");
    mounts.retain(|mount| mount["type"] != "mqueue");
}

fn namespace_of_somebody_else_is_an_error(t: &Test) {
    for (kind, file) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
        let mut bundle = t.bundle(&["true"]);
        let path = format!("/proc/self/ns/{file}");
        if kind == "ipc" {
            without_mqueue(&mut bundle);
        }
        bundle.without_namespace(kind).set("/linux/namespaces/-", json!({"type": kind, "path": path}));
        bundle.remove("/hostname");
        t.run(bundle.write()).fails_with(&[kind, &path, "EPERM", "user namespace"]);
    }
}

fn time_namespace_has_both_offsets(t: &Test) {
    let mut bundle = t.bundle(&["cat", "/proc/self/timens_offsets", "/proc/uptime"]);
    bundle.set("/linux/namespaces/-", json!({"type": "time"}));
    let offsets =
        json!({"monotonic": {"secs": 7, "nanosecs": 999_999_999}, "boottime": {"secs": 100_000_000}});
    bundle.set("/linux/timeOffsets", offsets);
    let output = t.run(bundle.write()).ok();
    let words: Vec<_> = output.stdout.split_whitespace().collect();
    assert_eq!(words[..6], ["monotonic", "7", "999999999", "boottime", "100000000", "0"]);
    let uptime: f64 = words[6].parse().expect("an uptime");
    assert!(uptime > 100_000_000.0, "{output}");
    // Without offsets it is a time namespace nevertheless.
    bundle.remove("/linux/timeOffsets");
    let output = t.run(bundle.write()).ok();
    assert_eq!(
        output.stdout.split_whitespace().take(6).collect::<Vec<_>>(),
        ["monotonic", "0", "0", "boottime", "0", "0"]
    );
}

fn wrong_offset_is_an_error(t: &Test) {
    for (with, offsets, part) in [
        (true, json!({"realtime": {"secs": 1}}), "realtime"),
        (true, json!({"boottime": {"secs": 1, "nanosecs": 1_000_000_000}}), "boottime"),
        // The clock would be before its beginning.
        (true, json!({"monotonic": {"secs": -1_000_000_000}}), "monotonic"),
        (false, json!({"boottime": {"secs": 1}}), "time namespace isn't enabled"),
    ] {
        let mut bundle = t.bundle(&["true"]);
        if with {
            bundle.set("/linux/namespaces/-", json!({"type": "time"}));
        }
        bundle.set("/linux/timeOffsets", offsets);
        t.run(bundle.write()).fails_with(&["linux.timeOffsets", part]);
    }
}

fn cgroup_namespace_hides_the_path(t: &Test) {
    let mut bundle = t.bundle(&["cat", "/proc/self/cgroup"]);
    let inside = t.run(bundle.write()).ok();
    assert!(inside.stdout.lines().all(|line| line.ends_with(":/")), "{inside}");
    bundle.without_namespace("cgroup");
    let shared = t.run(bundle.write()).ok();
    match t.who() {
        Who::Root => assert!(shared.stdout.contains(&t.id("c")), "{shared}"),
        Who::User if rootling_tests::cgroups::is_unified() => {
            assert!(shared.stdout.lines().any(|line| !line.ends_with(":/")), "{shared}");
        }
        // Without a cgroup of its own.
        Who::User => {
            let ours = fs::read_to_string("/proc/self/cgroup").expect("our cgroups");
            assert_eq!(shared.stdout, ours);
        }
    }
}

fn loopback_is_up_in_a_new_network_namespace(t: &Test) {
    // IFF_UP and IFF_LOOPBACK of netdevice(7).
    let bundle = t.shell("cat /sys/class/net/lo/flags; ip -o addr show lo | grep -o '127.0.0.1/8'");
    assert_eq!(t.run(bundle.write()).ok().stdout, "0x9\n127.0.0.1/8\n");
}

fn names_are_the_containers(t: &Test) {
    let names = ["/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname"];
    let host = names.map(|name| fs::read_to_string(name).expect("a name of the host"));
    let mut bundle = t.bundle(&[&["cat"], &names[..]].concat());
    let longest = "n".repeat(64);
    for (hostname, domainname) in [("container", "example.org"), (longest.as_str(), longest.as_str())] {
        bundle.set("/hostname", hostname.into()).set("/domainname", domainname.into());
        assert_eq!(t.run(bundle.write()).ok().stdout, format!("{hostname}\n{domainname}\n"));
    }
    // Without configured names those of the caller are copied.
    bundle.remove("/hostname").remove("/domainname");
    assert_eq!(t.run(bundle.write()).ok().stdout, host.concat());
    assert_eq!(names.map(|name| fs::read_to_string(name).expect("a name of the host")), host);
}

fn names_need_their_namespace(t: &Test) {
    for field in ["hostname", "domainname"] {
        let mut bundle = t.bundle(&["true"]);
        bundle.set(&format!("/{field}"), "n".repeat(65).into());
        t.run(bundle.write()).fails_with(&[field, "65 bytes", "64"]);
        bundle.remove("/hostname").without_namespace("uts").set(&format!("/{field}"), "name".into());
        t.run(bundle.write()).fails_with(&[field, "name", "without a private UTS namespace"]);
    }
}

fn sysctls_are_set_in_their_namespaces(t: &Test) {
    let mut values = vec![
        ("net.ipv4.ip_forward", "1"),
        ("net.ipv4.ip_default_ttl", "77"),
        ("net/ipv4/tcp_syncookies", "0"),
    ];
    match t.who() {
        Who::Root => values.extend([
            ("kernel.shm_rmid_forced", "1"),
            ("kernel.msgmax", "4096"),
            ("fs.mqueue.msg_max", "21"),
            ("kernel.domainname", "sysctl.example"),
        ]),
        Who::User => values.push(("user.max_uts_namespaces", "12")),
    }
    let files: Vec<_> =
        values.iter().map(|(name, _)| format!("/proc/sys/{}", name.replace('.', "/"))).collect();
    let mut bundle = t.bundle(&["true"]);
    let args: Vec<_> = ["cat".to_owned()].into_iter().chain(files.clone()).collect();
    bundle.set("/process/args", args.into());
    for (name, value) in &values {
        bundle.set(&format!("/linux/sysctl/{}", name.replace('/', ".")), (*value).into());
    }
    let before: Vec<_> = files.iter().map(|file| fs::read_to_string(file).expect("a sysctl")).collect();
    let expected: Vec<_> = values.iter().map(|(_, value)| *value).collect();
    assert_eq!(t.run(bundle.write()).ok().stdout.lines().collect::<Vec<_>>(), expected);
    let after: Vec<_> = files.iter().map(|file| fs::read_to_string(file).expect("a sysctl")).collect();
    assert_eq!(after, before, "the host's have changed");
}

fn sysctls_of_the_host_are_refused(t: &Test) {
    for (name, without, part) in [
        ("net.ipv4.ip_forward", "network", "network namespace"),
        ("kernel.shmmax", "ipc", "ipc namespace"),
        ("fs.mqueue.msg_max", "ipc", "ipc namespace"),
        ("kernel.domainname", "uts", "not in a separate kernel namespace"),
        ("kernel.hostname", "", "conflicts with the OCI \"hostname\" field"),
        ("vm.swappiness", "", "not in a separate kernel namespace"),
        ("kernel.panic", "", "not in a separate kernel namespace"),
    ] {
        let mut bundle = t.bundle(&["true"]);
        without_mqueue(&mut bundle);
        bundle.remove("/hostname").without_namespace(without);
        bundle.set(&format!("/linux/sysctl/{name}"), "1".into());
        t.run(bundle.write()).fails_with(&["linux.sysctl", name, part]);
    }
    let mut bundle = t.bundle(&["true"]);
    bundle.set("/linux/sysctl/net.ipv4.no_such_variable", "1".into());
    let words = ["linux.sysctl", "open /proc/sys/net/ipv4/no_such_variable: no such file or directory"];
    t.run(bundle.write()).fails_with(&words);
}

/// Runs the command in a separate network namespace with a device that has an address.
fn beside_a_device(t: &Test, command: Cmd) -> Cmd {
    let script = "ip link add moved0 type veth peer name stays0 && ip addr add 192.0.2.1/24 dev moved0 && \
                  ip link set moved0 up && \"$@\" && ip -o link";
    let flags = if t.who() == Who::Root { "-n" } else { "-Urn" };
    command.under(&["unshare", flags, "sh", "-c", script, "sh"])
}

fn network_device_is_moved_with_its_address(t: &Test) {
    if beside_a_device(t, t.command("true")).output().exit() != 0 {
        return skip("no veth devices can be made here");
    }
    let mut bundle =
        t.shell("ip -o addr show | grep -o '[a-z]*0 .*192.0.2.1/24'; cat /sys/class/net/*d*0/flags");
    if t.who() == Who::User {
        bundle.ids(Ids::Single(0, 0));
    }
    for (device, name) in [(json!({}), "moved0"), (json!({"name": "inside0"}), "inside0")] {
        bundle.set("/linux/netDevices", json!({"moved0": device}));
        let output = beside_a_device(t, t.run_command(bundle.write())).output().ok();
        let lines = lines(&output.stdout);
        assert!(lines[0].starts_with(&format!("{name} ")), "{output}");
        // IFF_UP
        let flags = u32::from_str_radix(lines[1].trim_start_matches("0x"), 16).expect("flags");
        assert_eq!(flags & 1, 1, "{output}");
        // It is gone from here; it ends with its namespace, and its peer some time later.
        assert!(!lines[2..].iter().any(|line| line.contains(": moved0")), "{output}");
    }
    bundle.set("/linux/netDevices", json!({"nosuch0": {}}));
    beside_a_device(t, t.run_command(bundle.write())).output().fails_with(&["linux.netDevices", "nosuch0"]);
    bundle.without_namespace("network");
    t.run(bundle.write()).fails_with(&["linux.netDevices", "without a NET namespace"]);
}

fn classes_of_resctrl_need_resctrl(t: &Test) {
    if fs::exists("/sys/fs/resctrl/schemata").unwrap_or(false) {
        return skip("resctrl is mounted");
    }
    for rdt in
        [json!({"closID": "class"}), json!({"l3CacheSchema": "L3:0=f"}), json!({"enableMonitoring": true})]
    {
        let mut bundle = t.bundle(&["true"]);
        bundle.set("/linux/intelRdt", rdt);
        t.run(bundle.write()).fails_with(&["linux.intelRdt", "resctrl"]);
    }
    let wrong: [(Value, &str); 2] =
        [(json!({"closID": ".."}), "closID"), (json!({"closID": "a/b"}), "closID")];
    for (rdt, part) in wrong {
        let mut bundle = t.bundle(&["true"]);
        bundle.set("/linux/intelRdt", rdt);
        t.run(bundle.write()).fails_with(&["linux.intelRdt", part]);
    }
}
