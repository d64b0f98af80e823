use std::collections::BTreeSet;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxNetwork, LinuxPids};

use super::*;

fn resources(json: &str) -> LinuxResources {
    serde_json::from_str(json).expect("resources")
}

fn limits(json: &str) -> Limits {
    Limits::parse(&resources(json)).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn asks(json: &str, version: Version) -> Vec<String> {
    let asks = limits(json).asks(version).into_iter();
    asks.map(|ask| format!("{}: {}", ask.controller, ask.limit.trim_start_matches("linux.resources.")))
        .collect()
}

/// The table in the module documentation: what is not set, and what is no limit.
#[test]
fn what_takes_nothing_away_asks_for_no_controller() {
    for json in [
        "{}",
        r#"{"devices":[{"allow":false,"access":"rwm"}]}"#,
        r#"{"memory":{"limit":0,"reservation":0,"swap":0,"disableOOMKiller":false}}"#,
        r#"{"memory":{"limit":-1,"reservation":-1,"swap":-1,"swappiness":18446744073709551615}}"#,
        r#"{"memory":{"kernel":5,"kernelTCP":5,"useHierarchy":true,"checkBeforeUpdate":true}}"#,
        r#"{"cpu":{"shares":0,"quota":0,"period":0,"realtimeRuntime":0,"realtimePeriod":0}}"#,
        r#"{"cpu":{"quota":-1,"period":100000,"realtimeRuntime":-1,"realtimePeriod":100000}}"#,
        r#"{"cpu":{"period":100000,"realtimePeriod":100000}}"#,
        r#"{"cpu":{"burst":0,"idle":0,"cpus":"","mems":" "}}"#,
        r#"{"pids":{"limit":-1}}"#,
        r#"{"pids":{"limit":-7}}"#,
        r#"{"blockIO":{"weight":0,"leafWeight":0,"weightDevice":[],"throttleReadBpsDevice":[]}}"#,
        r#"{"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":0,"leafWeight":0}]}}"#,
        r#"{"blockIO":{"throttleWriteIOPSDevice":[{"major":8,"minor":0,"rate":0}]}}"#,
        r#"{"hugepageLimits":[],"rdma":{},"network":{"classID":0,"priorities":[]},"unified":{}}"#,
        r#"{"unified":{"cgroup.freeze":"0"}}"#,
    ] {
        for version in [Version::V1, Version::V2] {
            assert_eq!(asks(json, version), [""; 0], "{json} {version:?}");
        }
    }
}

#[test]
fn a_limit_asks_for_its_controller_with_its_value() {
    for (json, expected) in [
        (r#"{"memory":{"limit":1048576}}"#, &["memory: memory.limit 1048576"][..]),
        (r#"{"memory":{"reservation":5}}"#, &["memory: memory.reservation 5"]),
        (r#"{"memory":{"limit":5,"swap":9}}"#, &["memory: memory.limit 5", "memory: memory.swap 9"]),
        (r#"{"cpu":{"shares":512,"cpus":"0-1"}}"#, &["cpu: cpu.shares 512", "cpuset: cpu.cpus 0-1"]),
        (r#"{"cpu":{"mems":"0"}}"#, &["cpuset: cpu.mems 0"]),
        (r#"{"cpu":{"quota":50000}}"#, &["cpu: cpu.quota 50000"]),
        (r#"{"cpu":{"quota":50000,"period":1000}}"#, &["cpu: cpu.quota 50000", "cpu: cpu.period 1000"]),
        (r#"{"cpu":{"burst":1,"idle":1}}"#, &["cpu: cpu.burst 1", "cpu: cpu.idle 1"]),
        (r#"{"pids":{"limit":10}}"#, &["pids: pids.limit 10"]),
        // The specification: "0 is a valid limit value".
        (r#"{"pids":{"limit":0}}"#, &["pids: pids.limit 0"]),
        (r#"{"blockIO":{"weight":100}}"#, &["io: blockIO.weight 100"]),
        (r#"{"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":7}]}}"#, &["io: blockIO.weightDevice"]),
        (
            r#"{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1}]}}"#,
            &["io: blockIO.throttleReadBpsDevice"],
        ),
        (
            r#"{"blockIO":{"throttleWriteIOPSDevice":[{"major":8,"minor":0,"rate":1}]}}"#,
            &["io: blockIO.throttleWriteIOPSDevice"],
        ),
        (r#"{"hugepageLimits":[{"pageSize":"2MB","limit":0}]}"#, &["hugetlb: hugepageLimits"]),
        (r#"{"rdma":{"mlx5_0":{"hcaHandles":1}}}"#, &["rdma: rdma"]),
        (
            r#"{"unified":{"misc.max":"1","memory.high":"max","cgroup.freeze":"0"}}"#,
            &["memory: unified[\"memory.high\"]", "misc: unified[\"misc.max\"]"],
        ),
    ] {
        for version in [Version::V1, Version::V2] {
            assert_eq!(asks(json, version), expected, "{json} {version:?}");
        }
    }
}

#[test]
fn what_v2_has_no_place_for_asks_v1_alone_and_is_ignored_on_v2() {
    for (json, expected) in [
        // The kernel's default is 60, so 0 is a value of its own.
        (r#"{"memory":{"swappiness":0}}"#, "memory: memory.swappiness 0"),
        (r#"{"memory":{"disableOOMKiller":true}}"#, "memory: memory.disableOOMKiller true"),
        (r#"{"cpu":{"realtimeRuntime":500}}"#, "cpu: cpu.realtimeRuntime 500"),
        (r#"{"blockIO":{"leafWeight":50}}"#, "io: blockIO.leafWeight 50"),
        (r#"{"network":{"classID":7}}"#, "net_cls: network.classID 7"),
        (r#"{"network":{"priorities":[{"name":"eth0","priority":3}]}}"#, "net_prio: network.priorities"),
    ] {
        assert_eq!(asks(json, Version::V1), [expected], "{json}");
        assert_eq!(asks(json, Version::V2), [""; 0], "{json}");
        assert_eq!(limits(json).ignored(Version::V1), [""; 0], "{json}");
        let ignored = limits(json).ignored(Version::V2);
        let name = expected.split(' ').nth(1).expect("a field");
        assert!(
            ignored[0].starts_with(&format!("linux.resources.{name} is ignored on cgroup v2: ")),
            "{ignored:?}"
        );
    }
    let idle = limits(r#"{"cpu":{"shares":512,"idle":1},"unified":{"cpu.idle":"1","cpu.weight":"5"}}"#);
    let texts = idle.ignored(Version::V2);
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(
        texts.iter().all(|text| text.ends_with("unable to apply both cpu.weight and cpu.idle")),
        "{texts:?}"
    );
    assert_eq!(idle.unified.iter().collect::<Vec<_>>(), [("cpu.idle", "1")]);
}

#[test]
fn what_no_kernel_takes_is_refused() {
    for (json, expected) in [
        (r#"{"memory":{"limit":-2}}"#, "memory.limit: -2 is negative; use -1 for no limit"),
        (r#"{"memory":{"reservation":-2}}"#, "memory.reservation: -2 is negative"),
        (r#"{"memory":{"swap":-2}}"#, "memory.swap: -2 is negative"),
        (r#"{"memory":{"swap":9}}"#, "memory.swap: 9 needs a memory limit"),
        (r#"{"memory":{"limit":9,"swap":8}}"#, "memory.swap: 8 is below the memory limit of 9"),
        (r#"{"memory":{"swappiness":101}}"#, "memory.swappiness: 101 is out of range; use 0 to 100"),
        (r#"{"cpu":{"period":999}}"#, "cpu.period: 999 microseconds is out of range; use 1000 to 1000000"),
        (r#"{"cpu":{"period":1000001}}"#, "cpu.period: 1000001"),
        (r#"{"cpu":{"idle":2}}"#, "cpu.idle: 2 is out of range; use 0 or 1"),
        (r#"{"cpu":{"idle":-1}}"#, "cpu.idle: -1"),
        (r#"{"cpu":{"cpus":"2-1"}}"#, "cpu.cpus: \"2-1\" is not a list of numbers: range"),
        (r#"{"cpu":{"mems":"x"}}"#, "cpu.mems: \"x\" is not a list of numbers"),
        (r#"{"hugepageLimits":[{"pageSize":"2MB","limit":-1}]}"#, "hugepageLimits.limit: -1 is negative"),
        (
            r#"{"hugepageLimits":[{"pageSize":"/../x","limit":1}]}"#,
            "hugepageLimits.pageSize: \"/../x\" is not",
        ),
        (r#"{"hugepageLimits":[{"pageSize":"MB","limit":1}]}"#, "hugepageLimits.pageSize: \"MB\""),
        (r#"{"unified":{"../cgroup.procs":"1"}}"#, "unified: \"../cgroup.procs\" is not a file of a cgroup"),
        (r#"{"unified":{"memory":"1"}}"#, "unified: \"memory\""),
        (r#"{"unified":{".max":"1"}}"#, "unified: \".max\""),
        (r#"{"unified":{"memory.":"1"}}"#, "unified: \"memory.\""),
    ] {
        let error = Limits::parse(&resources(json)).expect_err(json).to_string();
        assert!(error.starts_with(expected), "{json}: {error}");
    }
}

#[test]
fn swap_is_counted_with_and_without_memory() {
    use Bound::{At, Unlimited};
    for (swap, limit, expected) in [
        (0, 0, None),
        (0, 100, None),
        (0, -1, Some((Unlimited, Unlimited))),
        (-1, 100, Some((Unlimited, Unlimited))),
        (-1, 0, Some((Unlimited, Unlimited))),
        (300, -1, Some((At(300), At(300)))),
        (300, 100, Some((At(300), At(200)))),
        (100, 100, Some((At(100), At(0)))),
    ] {
        let swap_of = limits(&format!(r#"{{"memory":{{"swap":{swap},"limit":{limit}}}}}"#)).memory.swap;
        assert_eq!(swap_of.map(|swap| (swap.with_memory(), swap.alone())), expected, "{swap} {limit}");
    }
}

#[test]
fn clearing_a_controller_leaves_the_others() {
    let mut all = resources(
        r#"{"memory":{"limit":1},"cpu":{"shares":5,"cpus":"0"},"pids":{"limit":1},"blockIO":{"weight":10},
        "hugepageLimits":[{"pageSize":"2MB","limit":0}],"rdma":{"mlx":{"hcaHandles":1}},
        "unified":{"memory.high":"1","cgroup.freeze":"0","misc.max":"1"}}"#,
    );
    let names = |resources: &LinuxResources| controllers(resources).into_iter().collect::<Vec<_>>();
    assert_eq!(names(&all), ["cpu", "cpuset", "hugetlb", "io", "memory", "misc", "pids", "rdma"]);
    for name in ["cpu", "memory", "misc"] {
        assert!(clear(&mut all, name), "{name}");
        assert!(!clear(&mut all, name), "{name} twice");
    }
    assert_eq!(names(&all), ["cpuset", "hugetlb", "io", "pids", "rdma"]);
    assert_eq!(all.unified().as_ref().expect("unified").keys().collect::<Vec<_>>(), ["cgroup.freeze"]);
    for name in ["cpuset", "hugetlb", "io", "pids", "rdma"] {
        clear(&mut all, name);
    }
    assert_eq!(names(&all), [""; 0]);
    assert!(all.cpu().is_none());
    assert_eq!(names(&resources(r#"{"cpu":{},"unified":{}}"#)), [""; 0]);
    // Controllers are listed even if they limit nothing.
    assert_eq!(names(&resources(r#"{"memory":{"limit":-1},"pids":{"limit":-1}}"#)), ["memory", "pids"]);
}

#[test]
fn kernel_memory_is_warned_about() {
    let warning = kernel_memory_ignored(&resources(r#"{"memory":{"kernel":-1,"kernelTCP":0}}"#));
    let expected = "linux.resources.memory: kernel and kernelTCP: kernel memory settings are ignored";
    assert_eq!(warning.as_deref(), Some(expected), "once");
    assert_eq!(kernel_memory_ignored(&resources(r#"{"memory":{"limit":5}}"#)), None);
}

/// A field that is added by a new version of the specification must be given a meaning: a row in the table of this
/// module, code in `parse`, and an entry in the lists here.
#[test]
fn every_field_of_the_specification_has_a_meaning() {
    // Field names as derive(Debug) prints them.
    let names = |debug: String| {
        let inner = debug.split_once('{').expect("a struct").1.to_owned();
        let names = inner.split(", ").filter_map(|field| field.split_once(':'));
        names.map(|(name, _)| name.trim().to_owned()).collect::<BTreeSet<_>>()
    };
    for (found, known) in [
        (
            format!("{:?}", resources("{}")),
            "devices memory cpu pids block_io hugepage_limits network rdma unified",
        ),
        (
            format!("{:?}", LinuxMemory::default()),
            "limit reservation swap kernel kernel_tcp swappiness disable_oom_killer use_hierarchy check_before_update",
        ),
        (
            format!("{:?}", LinuxCpu::default()),
            "shares quota idle burst period realtime_runtime realtime_period cpus mems",
        ),
        (format!("{:?}", LinuxPids::default()), "limit"),
        (
            format!("{:?}", LinuxBlockIo::default()),
            "weight leaf_weight weight_device throttle_read_bps_device throttle_write_bps_device \
             throttle_read_iops_device throttle_write_iops_device",
        ),
        (format!("{:?}", LinuxNetwork::default()), "class_id priorities"),
    ] {
        assert_eq!(names(found), known.split_whitespace().map(str::to_owned).collect(), "{known}");
    }
}
