use crate::CgroupManager;
use serde_json::{Value, json};

use super::super::fixture::{caller, made, refused, root};
use super::super::*;
use crate::resources::{Controllers, LimitSupport};

fn flags(limits: LimitFlags) -> Request {
    Request { limits, ..Request::default() }
}

fn none() -> LimitFlags {
    LimitFlags::default()
}

#[allow(clippy::unnecessary_wraps)] // This is the type of the flags.
fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

/// `linux.resources` without the device rules.
fn resources(limits: LimitFlags) -> Value {
    let mut spec = root(flags(limits));
    let resources = spec["linux"]["resources"].as_object_mut().expect("resources");
    assert_eq!(resources.remove("devices"), Some(json!([{ "allow": false, "access": "rwm" }])));
    Value::Object(std::mem::take(resources))
}

fn each_becomes<const N: usize>(limits: [(LimitFlags, Value); N]) {
    for (limits, expected) in limits {
        assert_eq!(resources(limits.clone()), expected, "{limits:?}");
    }
}

#[test]
fn each_limit_becomes_its_field() {
    const MIB: i64 = 1 << 20;
    each_becomes([
        (none(), json!({})),
        (
            LimitFlags { memory: text("64m"), ..none() },
            json!({ "memory": { "limit": 64 * MIB, "swap": 128 * MIB } }),
        ),
        (
            LimitFlags {
                memory: text("64m"),
                memory_swap: text("-1"),
                memory_reservation: text("32m"),
                ..none()
            },
            json!({ "memory": { "limit": 64 * MIB, "swap": -1, "reservation": 32 * MIB } }),
        ),
        (
            LimitFlags { memory: text("8m"), memory_swappiness: Some(0), oom_kill_disable: true, ..none() },
            json!({ "memory": { "limit": 8 * MIB, "swap": 16 * MIB, "swappiness": 0, "disableOOMKiller": true } }),
        ),
        (
            LimitFlags { memory_swappiness: Some(-1), cpu_shares: Some(0), ..none() },
            json!({ "cpu": { "shares": 0 } }),
        ),
        (
            LimitFlags { memory: text("512k"), memory_min: text("0"), ..none() },
            json!({ "memory": { "limit": 512 << 10, "swap": 1 << 20 } }),
        ),
        (
            LimitFlags { cpus: text("1.5"), ..none() },
            json!({ "cpu": { "quota": 150_000, "period": 100_000 } }),
        ),
        (
            LimitFlags { cpu_period: Some(50_000), cpu_quota: Some(25_000), cpu_shares: Some(512), ..none() },
            json!({ "cpu": { "period": 50_000, "quota": 25_000, "shares": 512 } }),
        ),
        (
            LimitFlags { cpu_rt_period: Some(10_000), cpu_rt_runtime: Some(5_000), ..none() },
            json!({ "cpu": { "realtimePeriod": 10_000, "realtimeRuntime": 5_000 } }),
        ),
        (
            LimitFlags { cpuset_cpus: text("0-1"), cpuset_mems: text("0"), ..none() },
            json!({ "cpu": { "cpus": "0-1", "mems": "0" } }),
        ),
        (LimitFlags { pids_limit: Some(9), ..none() }, json!({ "pids": { "limit": 9 } })),
        (LimitFlags { pids_limit: Some(-5), ..none() }, json!({ "pids": { "limit": -1 } })),
    ]);
}

#[test]
fn each_limit_of_block_devices_becomes_its_field() {
    let sda = |name: &str, value: u64| json!([{ "major": 8, "minor": 0, name: value }]);
    each_becomes([
        (
            LimitFlags { blkio_weight: Some(10), blkio_weight_device: vec!["/dev/sda:20".into()], ..none() },
            json!({ "blockIO": { "weight": 10, "weightDevice": sda("weight", 20) } }),
        ),
        (
            LimitFlags { device_read_bps: vec!["/dev/sda:1m".into()], ..none() },
            json!({ "blockIO": { "throttleReadBpsDevice": sda("rate", 1 << 20) } }),
        ),
        (
            LimitFlags { device_write_bps: vec!["/dev/sda:7".into()], ..none() },
            json!({ "blockIO": { "throttleWriteBpsDevice": sda("rate", 7) } }),
        ),
        (
            LimitFlags {
                device_read_iops: vec!["/dev/sda:5".into()],
                device_write_iops: vec!["/dev/sda:6".into()],
                ..none()
            },
            json!({ "blockIO": {
                "throttleReadIOPSDevice": sda("rate", 5), "throttleWriteIOPSDevice": sda("rate", 6)
            } }),
        ),
    ]);
}

fn each_is_refused<const N: usize>(limits: [(LimitFlags, &str); N]) {
    for (limits, expected) in limits {
        let error = refused(flags(limits));
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn limits_that_make_no_sense_name_flag_value_and_range() {
    each_is_refused([
        (LimitFlags { memory: text("x"), ..none() }, "--memory \"x\": is not a size"),
        (
            LimitFlags { memory: text("1m"), ..none() },
            "--memory: 1048576 bytes is below the minimum of 6291456",
        ),
        (
            LimitFlags { memory: text("1m"), memory_min: text("2m"), ..none() },
            "--memory: 1048576 bytes is below the minimum of 2097152",
        ),
        (LimitFlags { memory_swap: text("9m"), ..none() }, "--memory-swap: 9437184 needs a memory limit"),
        (LimitFlags { cpus: text("5"), ..none() }, "--cpus: \"5\" is out of range; use 0.01 to 4"),
        (
            LimitFlags { cpus: text("1"), cpu_quota: Some(5000), ..none() },
            "--cpus: \"1\" cannot be given together with cpu-period or cpu-quota",
        ),
        (LimitFlags { cpuset_cpus: text("9"), ..none() }, "--cpuset-cpus: \"9\" names 9, which this host"),
        (
            LimitFlags { cpu_rt_runtime: Some(600_000), ..none() },
            "--cpu-rt-runtime: 600000 microseconds is more",
        ),
        (LimitFlags { cpu_shares: Some(-1), ..none() }, "--cpu-shares: -1 is out of range; use 2 to 262144"),
        (
            LimitFlags { memory_swappiness: Some(-2), ..none() },
            "--memory-swappiness: -2 is out of range; use 0 to 100, or -1 for the host's own",
        ),
        (
            LimitFlags { cpu_period: Some(-1), ..none() },
            "--cpu-period: -1 is out of range; use 1000 to 1000000",
        ),
        (
            LimitFlags { cpu_rt_period: Some(-1), ..none() },
            "--cpu-rt-period: -1 is out of range; use 1000 to 1000000",
        ),
    ]);
}

#[test]
fn limits_of_block_devices_that_make_no_sense_name_flag_value_and_range() {
    each_is_refused([
        (LimitFlags { blkio_weight: Some(5), ..none() }, "--blkio-weight: 5 is out of range; use 10 to 1000"),
        (
            LimitFlags { blkio_weight_device: vec!["/dev/sda".into()], ..none() },
            "--blkio-weight-device \"/dev/sda\": is not of the form DEVICE:VALUE",
        ),
        (
            LimitFlags { blkio_weight_device: vec!["/dev/sda:5000000".into()], ..none() },
            "--blkio-weight-device \"/dev/sda:5000000\": \"5000000\" is not a weight; use 10 to 1000",
        ),
        (
            LimitFlags { blkio_weight_device: vec!["/dev/sda:-1".into()], ..none() },
            "--blkio-weight-device \"/dev/sda:-1\": \"-1\" is not a weight; use 10 to 1000",
        ),
        (
            LimitFlags { blkio_weight: Some(-1), ..none() },
            "--blkio-weight: -1 is out of range; use 10 to 1000",
        ),
        (
            LimitFlags { blkio_weight: Some(70_000), ..none() },
            "--blkio-weight: 70000 is out of range; use 10 to 1000",
        ),
        (
            LimitFlags { device_read_bps: vec!["/dev/fuse:1m".into()], ..none() },
            "--device-read-bps \"/dev/fuse:1m\": is not a block device",
        ),
        (
            LimitFlags { device_write_bps: vec!["/dev/sdz:1m".into()], ..none() },
            "--device-write-bps \"/dev/sdz:1m\": /dev/sdz: entity not found",
        ),
        (
            LimitFlags { device_read_iops: vec!["/dev/sda:1m".into()], ..none() },
            "--device-read-iops \"/dev/sda:1m\": the rate is not a number",
        ),
        (
            LimitFlags { device_write_iops: vec!["/dev/sda:0".into()], ..none() },
            "--device-write-iops \"/dev/sda:0\": the rate has to be at least 1",
        ),
    ]);
}

#[test]
fn limits_that_the_host_cannot_set_are_left_out_with_a_warning() {
    let facts = Facts {
        support: LimitSupport { controllers: Controllers::default(), ..caller(0).support },
        ..caller(1000)
    };
    let limits = LimitFlags { memory: text("64m"), pids_limit: Some(5), cpus: text("1"), ..none() };
    let (spec, warnings) = made(&flags(limits), &facts).expect("a spec");
    assert_eq!(spec["linux"]["resources"], Value::Null);
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[0].starts_with("memory limits: left out: the memory controller"), "{warnings:?}");
}

#[test]
fn the_driver_follows_host_and_caller_unless_one_is_asked_for() {
    let facts =
        |systemd, cgroup2, ordinary_user| ManagerFacts { asked: None, systemd, cgroup2, ordinary_user };
    for (facts, expected) in [
        (facts(true, true, true), CgroupManager::Systemd),
        (facts(true, true, false), CgroupManager::Systemd),
        (facts(true, false, true), CgroupManager::Disabled),
        (facts(true, false, false), CgroupManager::Cgroupfs),
        (facts(false, true, true), CgroupManager::Disabled),
        (facts(false, true, false), CgroupManager::Cgroupfs),
    ] {
        assert_eq!(manager(facts), expected, "{facts:?}");
        for asked in [CgroupManager::Systemd, CgroupManager::Cgroupfs, CgroupManager::Disabled] {
            assert_eq!(manager(ManagerFacts { asked: Some(asked), ..facts }), asked, "{facts:?}");
        }
    }
}

#[test]
fn a_cgroup_parent_becomes_an_annotation() {
    let made = |manager, parent: &str| {
        let request = Request { cgroup_parent: text(parent), ..Request::default() };
        made(&request, &Facts { cgroup_manager: manager, ..caller(0) })
    };
    for (manager, parent) in [(CgroupManager::Systemd, "user.slice"), (CgroupManager::Cgroupfs, "/jobs")] {
        let (spec, warnings) = made(manager, parent).expect(parent);
        let annotations = json!({ "org.rootling.cgroup-parent": parent });
        assert_eq!((&spec["annotations"], warnings), (&annotations, Vec::new()), "{parent}");
        assert_eq!(spec["linux"]["cgroupsPath"], Value::Null, "{parent}");
    }
    for (manager, parent, expected) in [
        (CgroupManager::Systemd, "/jobs", "--cgroup-parent \"/jobs\": is not a slice; where systemd manages"),
        (CgroupManager::Cgroupfs, "user.slice", "--cgroup-parent \"user.slice\": is a slice of systemd"),
    ] {
        let error = made(manager, parent).expect_err(parent).to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let (spec, warnings) = made(CgroupManager::Disabled, "/jobs").expect("a warning");
    assert_eq!(spec["annotations"], Value::Null);
    assert_eq!(warnings.len(), 1);
}
