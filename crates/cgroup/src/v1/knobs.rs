//! Limits as values for cgroup v1 files.

use std::num::NonZeroU64;

use rootling_config::limits::{
    Bound, Cpu, Cpuset, DeviceWeight, Io, Limits, Memory, Network, Swap, Throttle, Throttled,
};

use crate::CgroupError;
use crate::knob::{Knob, OnError};
use crate::v2::knobs::{hugetlb, pids, rdma};

/// All values, in the order in which runc writes them.
pub(crate) fn knobs(limits: &Limits) -> Result<Vec<Knob>, CgroupError> {
    let Limits { memory, cpu, cpuset, pids: most, io, hugepages, network, rdma: devices, unified } = limits;
    if !unified.is_empty() {
        return Err(CgroupError::UnifiedOnV1);
    }
    let mut knobs = Vec::new();
    cpuset_files(cpuset, &mut knobs);
    memory_files(memory, &mut knobs);
    cpu_files(cpu, &mut knobs);
    knobs.extend(most.map(pids));
    io_files(io, &mut knobs);
    hugetlb(hugepages, "limit_in_bytes", &mut knobs);
    network_files(network, &mut knobs);
    knobs.extend(devices.iter().map(rdma));
    Ok(knobs)
}

fn cpuset_files(cpuset: &Cpuset, knobs: &mut Vec<Knob>) {
    let Cpuset { cpus, mems } = cpuset;
    // The kernel can mount this hierarchy without the prefix of its file names.
    for (file, bare, set) in [("cpuset.cpus", "cpus", cpus), ("cpuset.mems", "mems", mems)] {
        knobs.extend(set.iter().map(|set| Knob::new("cpuset", file, set).or(bare, set)));
    }
}

fn memory_files(memory: &Memory, knobs: &mut Vec<Knob>) {
    let Memory { limit, reservation, swap, swappiness, disable_oom_killer, check_before_update: _ } = memory;
    let bytes = |file, value: Bound| Knob::new("memory", file, value).if_limit(value.is_limit());
    // It must never exceed the limit of memory and swap, which may only be raised later in the list.
    knobs.extend(limit.map(|limit| {
        let knob = Knob::new("memory", "memory.limit_in_bytes", limit).on_error(OnError::RetryLater);
        knob.if_limit(limit.is_limit())
    }));
    knobs.extend(swap.map(Swap::with_memory).map(|swap| bytes("memory.memsw.limit_in_bytes", swap)));
    knobs.extend(reservation.map(|value| bytes("memory.soft_limit_in_bytes", value)));
    if *disable_oom_killer {
        knobs.push(Knob::new("memory", "memory.oom_control", 1));
    }
    knobs.extend(swappiness.map(|value| Knob::new("memory", "memory.swappiness", value.get())));
}

/// The realtime period and runtime, in microseconds: the kernel checks each against the other.
pub(crate) fn realtime(runtime: Option<Bound>, period: Option<NonZeroU64>) -> Vec<Knob> {
    let is_limit = runtime.is_some_and(Bound::is_limit);
    let period = period.map(|period| {
        let on_error = if runtime.is_none() { OnError::Fail } else { OnError::RetryLater };
        Knob::new("cpu", "cpu.rt_period_us", period).on_error(on_error).if_limit(is_limit)
    });
    let runtime = runtime.map(|value| Knob::new("cpu", "cpu.rt_runtime_us", value).if_limit(is_limit));
    period.into_iter().chain(runtime).collect()
}

/// An idle group has the smallest shares, and the kernel refuses any others.
pub(crate) fn shares_in_force(cpu: &Cpu) -> Option<NonZeroU64> {
    cpu.shares.filter(|_| cpu.idle != Some(true))
}

fn cpu_files(cpu: &Cpu, knobs: &mut Vec<Knob>) {
    let Cpu { shares: _, quota, period, burst, idle, realtime_runtime, realtime_period } = cpu;
    knobs.extend(idle.map(|idle| Knob::new("cpu", "cpu.idle", u8::from(idle)).if_limit(idle)));
    knobs.extend(shares_in_force(cpu).map(|shares| Knob::new("cpu", "cpu.shares", shares)));
    let wait = |alone, with_quota| if quota.is_none() { alone } else { with_quota };
    knobs.extend(period.map(|period| {
        // The quota that is still in force may be too large for the new period.
        let knob = Knob::new("cpu", "cpu.cfs_period_us", period.get());
        let on_error = wait(OnError::Fail, OnError::RetryLater);
        knob.on_error(on_error).if_limit(quota.is_some_and(Bound::is_limit))
    }));
    knobs.extend(burst.map(|burst| {
        let on_error = wait(OnError::IgnoreMissing, OnError::RetryLaterIgnoreMissing);
        Knob::new("cpu", "cpu.cfs_burst_us", burst).on_error(on_error).if_limit(burst != 0)
    }));
    knobs.extend(quota.map(|quota| Knob::new("cpu", "cpu.cfs_quota_us", quota).if_limit(quota.is_limit())));
    knobs.extend(realtime(*realtime_runtime, *realtime_period));
}

fn io_files(io: &Io, knobs: &mut Vec<Knob>) {
    let Io { weight, leaf_weight, devices, throttles } = io;
    knobs.extend(weight.map(|w| Knob::new("blkio", "blkio.weight", w).or("blkio.bfq.weight", w)));
    knobs.extend(leaf_weight.map(|weight| Knob::new("blkio", "blkio.leaf_weight", weight)));
    for DeviceWeight { device, weight, leaf_weight } in devices {
        if let Some(weight) = weight.filter(|weight| *weight != 0) {
            let value = format!("{device} {weight}");
            let knob = Knob::new("blkio", "blkio.weight_device", &value);
            knobs.push(knob.or("blkio.bfq.weight_device", value));
        }
        knobs.extend(
            leaf_weight.map(|w| Knob::new("blkio", "blkio.leaf_weight_device", format!("{device} {w}"))),
        );
    }
    for Throttle { what, device, rate } in throttles {
        let file = match what {
            Throttled::ReadBps => "blkio.throttle.read_bps_device",
            Throttled::WriteBps => "blkio.throttle.write_bps_device",
            Throttled::ReadIops => "blkio.throttle.read_iops_device",
            Throttled::WriteIops => "blkio.throttle.write_iops_device",
        };
        // 0 removes a limit.
        let value = if let Bound::At(rate) = rate { *rate } else { 0 };
        knobs.push(Knob::new("blkio", file, format!("{device} {value}")).if_limit(rate.is_limit()));
    }
}

fn network_files(network: &Network, knobs: &mut Vec<Knob>) {
    let Network { class_id, priorities } = network;
    knobs.extend(class_id.map(|id| Knob::new("net_cls", "net_cls.classid", id)));
    let priority = |(name, value): &(String, u32)| {
        Knob::new("net_prio", "net_prio.ifpriomap", format!("{name} {value}"))
    };
    knobs.extend(priorities.iter().map(priority));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knob::testing::limits;

    fn written(json: &str) -> Vec<String> {
        let knobs = knobs(&limits(json)).unwrap();
        knobs.into_iter().map(|k| format!("{}={}", k.file, k.value)).collect()
    }

    #[test]
    fn resources_become_v1_files() {
        for (json, files) in [
            ("{}", &[][..]),
            (
                r#"{"memory":{"limit":100,"swap":300}}"#,
                &["memory.limit_in_bytes=100", "memory.memsw.limit_in_bytes=300"],
            ),
            (r#"{"memory":{"limit":-1}}"#, &["memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1"]),
            (
                r#"{"memory":{"reservation":5,"swappiness":0,"disableOOMKiller":true}}"#,
                &["memory.soft_limit_in_bytes=5", "memory.oom_control=1", "memory.swappiness=0"],
            ),
            (
                r#"{"cpu":{"shares":512,"quota":5000,"period":20000,"burst":1}}"#,
                &["cpu.shares=512", "cpu.cfs_period_us=20000", "cpu.cfs_burst_us=1", "cpu.cfs_quota_us=5000"],
            ),
            (r#"{"cpu":{"shares":512,"idle":1}}"#, &["cpu.idle=1"]),
            (r#"{"cpu":{"shares":512,"idle":0}}"#, &["cpu.idle=0", "cpu.shares=512"]),
            (
                r#"{"cpu":{"realtimePeriod":1000,"realtimeRuntime":500}}"#,
                &["cpu.rt_period_us=1000", "cpu.rt_runtime_us=500"],
            ),
            (r#"{"cpu":{"cpus":"0","mems":"0"}}"#, &["cpuset.cpus=0", "cpuset.mems=0"]),
            (r#"{"pids":{"limit":-1}}"#, &["pids.max=max"]),
            (
                r#"{"blockIO":{"weight":100,"leafWeight":50,"throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":9}]}}"#,
                &["blkio.weight=100", "blkio.leaf_weight=50", "blkio.throttle.read_iops_device=8:0 9"],
            ),
            (
                r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4096}]}"#,
                &["hugetlb.2MB.limit_in_bytes=4096", "hugetlb.2MB.rsvd.limit_in_bytes=4096"],
            ),
            (
                r#"{"network":{"classID":7,"priorities":[{"name":"eth0","priority":3}]}}"#,
                &["net_cls.classid=7", "net_prio.ifpriomap=eth0 3"],
            ),
        ] {
            assert_eq!(written(json), files, "{json}");
        }
    }

    #[test]
    fn unified_is_an_error_on_v1() {
        let json = r#"{"unified":{"memory.max":"1"}}"#;
        let error = knobs(&limits(json)).unwrap_err();
        assert!(matches!(error, CgroupError::UnifiedOnV1));
    }
}
