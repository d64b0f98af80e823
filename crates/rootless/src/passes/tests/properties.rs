//! Properties that hold for any spec on any host.

use proptest::prelude::*;

use super::*;
use crate::idmap::{default_maps, maps_of};
use rootling_sys::mount::{ST_NOSUID, ST_RELATIME};

fn mount() -> impl Strategy<Value = Value> {
    let at = prop::sample::select(vec![
        "/proc",
        "/dev",
        "/dev/pts",
        "/dev/shm",
        "/dev/mqueue",
        "/sys",
        "/sys/",
        "/sys/fs/cgroup",
        "/sys/fs/bpf",
        "/sys/class/net",
        "/data",
        "/data/sys",
        "/system",
        "/../sys",
        "/a/b",
    ]);
    let kind = prop::sample::select(vec![
        "proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2", "bind", "none", "bpf",
    ]);
    let source = prop::sample::select(vec!["/sys", "/sys/class/net", "/src", "data", "none", "/proc"]);
    let option = prop::sample::select(vec![
        "bind",
        "rbind",
        "ro",
        "rw",
        "rro",
        "suid",
        "nosuid",
        "dev",
        "nodev",
        "exec",
        "noexec",
        "noatime",
        "relatime",
        "strictatime",
        "nodiratime",
        "uid=0",
        "uid=70000",
        "gid=5",
        "gid=4000000000",
        "mode=755",
        "rprivate",
    ]);
    (at, kind, source, prop::collection::vec(option, 0..6)).prop_map(|(at, kind, source, options)| {
        json!({"destination": at, "type": kind, "source": source, "options": options})
    })
}

fn namespace_list() -> impl Strategy<Value = Value> {
    let all = vec!["pid", "network", "ipc", "uts", "mount", "cgroup", "user"];
    let path = prop::sample::select(vec!["", "/proc/self/ns/net", "/proc/self/ns/pid", "/other"]);
    (prop::sample::subsequence(all, 0..=7), path).prop_map(|(types, path)| {
        let entries = types.into_iter().map(|typ| match (typ, path) {
            ("network" | "pid", path) if !path.is_empty() => json!({"type": typ, "path": path}),
            _ => json!({"type": typ}),
        });
        entries.collect()
    })
}

prop_compose! {
    fn any_spec()(
        mounts in prop::collection::vec(mount(), 0..10),
        namespaces in namespace_list(),
        score in prop::option::of(-1000..1000_i32),
        memory in prop::option::of(-1..1_000_000_i64),
        groups in prop::collection::vec(0..3_u32, 0..2),
        path in prop::option::of(Just("/box")),
        ping in prop::option::of(Just("0 2147483647")),
    ) -> Value {
        let mut spec = json!({
            "process": {"user": {"uid": 0, "gid": 0, "additionalGids": groups}, "cwd": "/"},
            "mounts": mounts,
            "linux": {"namespaces": namespaces, "readonlyPaths": ["/proc/sys", "/sys/devices"]}
        });
        let mut put = |pointer: &str, key: &str, value: Option<Value>| {
            if let Some(value) = value {
                spec.pointer_mut(pointer).unwrap()[key] = value;
            }
        };
        put("/process", "oomScoreAdj", score.map(Value::from));
        put("/linux", "resources", memory.map(|limit| json!({"memory": {"limit": limit}, "devices": []})));
        put("/linux", "cgroupsPath", path.map(Value::from));
        put("/linux", "sysctl", ping.map(|range| json!({"net.ipv4.ping_group_range": range})));
        spec
    }
}

/// Lines of subuid(5) as they may occur, well-formed or not.
fn sub_id_file() -> impl Strategy<Value = String> {
    let owner = prop::sample::select(vec!["alice", "1000", "bob", "", "# alice"]);
    let line = (owner, 0..5_000_000_000_u64, 0..5_000_000_000_u64)
        .prop_map(|(owner, first, count)| format!("{owner}:{first}:{count}\n"));
    let near = (0..2000_u32, 0..2000_u32).prop_map(|(first, count)| format!("alice:{first}:{count}\n"));
    prop::collection::vec(prop_oneof![line, near], 0..6).prop_map(|lines| lines.concat())
}

prop_compose! {
    fn any_host()(
        kind in 0..4_u8,
        magic in prop::sample::select(vec![0, TMPFS, CGROUP2]),
        delegated in prop::option::of(Just("memory pids")),
        flags in 0..8192_u64,
        covered in prop::collection::vec(prop::sample::select(vec!["/proc/kcore", "/sys/firmware"]), 0..2),
        files in (sub_id_file(), sub_id_file()),
        own in -1000..1000_i32,
    ) -> Fixture {
        let machine = match kind {
            0 => alice().file("/etc/subuid", &files.0).file("/etc/subgid", &files.1),
            1 => Fixture::ordinary(1000),
            2 => Fixture::root_in_user_namespace(1000),
            _ => Fixture::root_in_user_namespace(1000).capabilities(0xff | 1 << 31),
        };
        let machine = machine
            .fs("/sys/fs/cgroup", magic)
            .file("/proc/self/cgroup", "0::/mine\n")
            .file("/proc/self/oom_score_adj", &own.to_string())
            .mount_flags("/src", flags)
            .mount_flags("/bundle/data", flags / 3)
            .mount_flags("/proc", ST_NOSUID | ST_RELATIME)
            .namespace("/proc/self/ns/net", 1)
            .namespace("/proc/self/ns/pid", 2)
            .namespace("/other", 3)
            .directory("/dev/shm");
        let machine = covered.iter().fold(machine, |machine, place| machine.mount_point(place));
        match delegated {
            Some(controllers) => machine.cgroup("/sys/fs/cgroup/mine", controllers),
            None => machine,
        }
    }
}

fn options() -> Options {
    Options { bundle: "/bundle".into(), ignore_cgroup_limits: true, ..Options::default() }
}

fn is_below_sys(mount: &Value) -> bool {
    let at = rootling_sys::path::clean(mount["destination"].as_str().unwrap().as_ref());
    at.starts_with("/sys")
}

/// Checks that container ids do not overlap and include 0, and that host ids do not overlap.
fn check_map(rows: &[oci_spec::runtime::LinuxIdMapping]) {
    assert!(rows.iter().any(|row| row.container_id() == 0 && row.size() > 0), "0 is not mapped: {rows:?}");
    for (index, a) in rows.iter().enumerate() {
        for b in &rows[..index] {
            let apart = |a_first: u32, b_first: u32| {
                let end = |first: u32, size: u32| u64::from(first) + u64::from(size);
                end(a_first, a.size()) <= u64::from(b_first) || end(b_first, b.size()) <= u64::from(a_first)
            };
            assert!(apart(a.container_id(), b.container_id()), "{a:?} {b:?}");
            assert!(apart(a.host_id(), b.host_id()), "{a:?} {b:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn adapting_again_changes_nothing(spec in any_spec(), machine in any_host()) {
        let Ok(first) = try_adapt(spec, machine.clone(), &options()) else { return Ok(()) };
        let second = try_adapt(first.json.clone(), machine, &options()).unwrap();
        prop_assert_eq!(&second.json, &first.json);
        prop_assert_eq!(second.changes, vec![]);
    }

    #[test]
    fn every_mount_outside_of_sys_stays_in_its_place(spec in any_spec(), machine in any_host()) {
        let outside = |json: &Value| -> Vec<Value> {
            let all = json["mounts"].as_array().into_iter().flatten();
            all.filter(|mount| !is_below_sys(mount)).map(|mount| mount["destination"].clone()).collect()
        };
        let before = outside(&spec);
        let Ok(outcome) = try_adapt(spec, machine, &options()) else { return Ok(()) };
        prop_assert_eq!(outside(&outcome.json), before);
    }

    #[test]
    fn default_maps_never_overlap_and_cover_0(machine in any_host(), named in any::<bool>()) {
        let host = Host::on(machine);
        let maps = if named { maps_of(&host, &"alice".parse().unwrap()) } else { default_maps(&host) };
        let Ok(wanted) = maps else { return Ok(()) };
        check_map(&wanted.maps.uid);
        check_map(&wanted.maps.gid);
    }
}
