//! `linux.resources` as values of cgroup v1 files.

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxNetwork, LinuxResources, LinuxThrottleDevice,
};

use crate::CgroupError;
use crate::knob::{Knob, OnError, kernel_memory_ignored};
use crate::v2::knobs::{hugetlb, pids, rdma};

/// All values, in the order in which runc writes them.
pub(crate) fn knobs(r: &LinuxResources) -> Result<Vec<Knob>, CgroupError> {
    if r.unified().as_ref().is_some_and(|u| !u.is_empty()) {
        return Err(CgroupError::UnifiedOnV1);
    }
    let mut knobs = Vec::new();
    if let Some(c) = r.cpu() {
        cpuset(c, &mut knobs);
    }
    if let Some(m) = r.memory() {
        memory(m, &mut knobs)?;
    }
    if let Some(c) = r.cpu() {
        cpu(c, &mut knobs);
    }
    if let Some(p) = r.pids() {
        knobs.push(pids(p.limit()));
    }
    if let Some(b) = r.block_io() {
        blkio(b, &mut knobs);
    }
    hugetlb(r.hugepage_limits().iter().flatten(), "limit_in_bytes", &mut knobs);
    if let Some(n) = r.network() {
        network(n, &mut knobs);
    }
    for (device, limits) in r.rdma().iter().flatten() {
        knobs.push(rdma(device, *limits));
    }
    Ok(knobs)
}

/// What v1 has no place for and is left out, as text for the user.
pub(crate) fn ignored(r: &LinuxResources) -> Vec<String> {
    kernel_memory_ignored(r)
}

fn cpuset(c: &LinuxCpu, knobs: &mut Vec<Knob>) {
    // The kernel can mount this one hierarchy without the prefix of its files.
    for (file, bare, set) in [("cpuset.cpus", "cpus", c.cpus()), ("cpuset.mems", "mems", c.mems())] {
        if let Some(set) = set.as_ref().filter(|s| !s.is_empty()) {
            knobs.push(Knob::new("cpuset", file, set).or(bare, set));
        }
    }
}

fn memory(m: &LinuxMemory, knobs: &mut Vec<Knob>) -> Result<(), CgroupError> {
    let limit = m.limit().filter(|l| *l != 0);
    let swap = m.swap().filter(|s| *s != 0);
    if let Some(limit) = limit {
        // Never above the limit of memory and swap, which may be about to be raised.
        let knob = Knob::new("memory", "memory.limit_in_bytes", limit);
        knobs.push(knob.on_error(OnError::RetryLater).lifting(limit == -1));
    }
    match (limit, swap) {
        (_, Some(swap)) => {
            knobs.push(Knob::new("memory", "memory.memsw.limit_in_bytes", swap).lifting(swap == -1));
        }
        // Unlimited memory means unlimited swap, where swap is counted.
        (Some(-1), None) => {
            let knob = Knob::new("memory", "memory.memsw.limit_in_bytes", -1);
            knobs.push(knob.on_error(OnError::IgnoreMissing));
        }
        _ => {}
    }
    if let Some(reservation) = m.reservation().filter(|r| *r != 0) {
        knobs.push(Knob::new("memory", "memory.soft_limit_in_bytes", reservation));
    }
    if m.disable_oom_killer() == Some(true) {
        knobs.push(Knob::new("memory", "memory.oom_control", 1));
    }
    match m.swappiness() {
        // -1, as some callers write for "the host's".
        None | Some(u64::MAX) => {}
        Some(s @ 0..=100) => knobs.push(Knob::new("memory", "memory.swappiness", s)),
        Some(s) => {
            let reason = "the range is 0 to 100";
            return Err(CgroupError::InvalidResource {
                field: "memory.swappiness",
                value: s.to_string(),
                reason,
            });
        }
    }
    Ok(())
}

/// Realtime period and runtime, in microseconds: each is checked against the other.
pub(crate) fn realtime(c: &LinuxCpu) -> Vec<Knob> {
    let (period, runtime) = (c.realtime_period().unwrap_or(0), c.realtime_runtime().unwrap_or(0));
    let mut knobs = Vec::new();
    if period != 0 {
        let on_error = if runtime == 0 { OnError::Fail } else { OnError::RetryLater };
        knobs.push(Knob::new("cpu", "cpu.rt_period_us", period).on_error(on_error));
    }
    if runtime != 0 {
        knobs.push(Knob::new("cpu", "cpu.rt_runtime_us", runtime));
    }
    knobs
}

fn cpu(c: &LinuxCpu, knobs: &mut Vec<Knob>) {
    if let Some(shares) = c.shares().filter(|s| *s != 0) {
        knobs.push(Knob::new("cpu", "cpu.shares", shares));
    }
    let quota = c.quota().unwrap_or(0);
    let wait = |alone, with_quota| if quota == 0 { alone } else { with_quota };
    if let Some(period) = c.period().filter(|p| *p != 0) {
        // The quota still in force may be too much of the new period.
        let knob = Knob::new("cpu", "cpu.cfs_period_us", period);
        knobs.push(knob.on_error(wait(OnError::Fail, OnError::RetryLater)));
    }
    if let Some(burst) = c.burst() {
        let knob = Knob::new("cpu", "cpu.cfs_burst_us", burst);
        knobs.push(knob.on_error(wait(OnError::IgnoreMissing, OnError::RetryLaterIgnoreMissing)));
    }
    if quota != 0 {
        knobs.push(Knob::new("cpu", "cpu.cfs_quota_us", quota).lifting(quota < 0));
    }
    if let Some(idle) = c.idle() {
        knobs.push(Knob::new("cpu", "cpu.idle", idle).on_error(OnError::IgnoreMissing));
    }
    knobs.extend(realtime(c));
}

fn blkio(b: &LinuxBlockIo, knobs: &mut Vec<Knob>) {
    if let Some(weight) = b.weight().filter(|w| *w != 0) {
        knobs.push(Knob::new("blkio", "blkio.weight", weight).or("blkio.bfq.weight", weight));
    }
    if let Some(weight) = b.leaf_weight().filter(|w| *w != 0) {
        knobs.push(Knob::new("blkio", "blkio.leaf_weight", weight));
    }
    for device in b.weight_device().iter().flatten() {
        let value = |weight: u16| format!("{}:{} {weight}", device.major(), device.minor());
        if let Some(weight) = device.weight().filter(|w| *w != 0) {
            let knob = Knob::new("blkio", "blkio.weight_device", value(weight));
            knobs.push(knob.or("blkio.bfq.weight_device", value(weight)));
        }
        if let Some(weight) = device.leaf_weight().filter(|w| *w != 0) {
            knobs.push(Knob::new("blkio", "blkio.leaf_weight_device", value(weight)));
        }
    }
    for (file, devices) in [
        ("blkio.throttle.read_bps_device", b.throttle_read_bps_device()),
        ("blkio.throttle.write_bps_device", b.throttle_write_bps_device()),
        ("blkio.throttle.read_iops_device", b.throttle_read_iops_device()),
        ("blkio.throttle.write_iops_device", b.throttle_write_iops_device()),
    ] {
        knobs.extend(devices.iter().flatten().map(|d| throttle(file, d)));
    }
}

fn throttle(file: &'static str, d: &LinuxThrottleDevice) -> Knob {
    Knob::new("blkio", file, format!("{}:{} {}", d.major(), d.minor(), d.rate()))
}

fn network(n: &LinuxNetwork, knobs: &mut Vec<Knob>) {
    if let Some(id) = n.class_id().filter(|id| *id != 0) {
        knobs.push(Knob::new("net_cls", "net_cls.classid", id));
    }
    for p in n.priorities().iter().flatten() {
        knobs.push(Knob::new("net_prio", "net_prio.ifpriomap", format!("{} {}", p.name(), p.priority())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(json: &str) -> Vec<String> {
        let knobs = knobs(&serde_json::from_str(json).unwrap()).unwrap();
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
    fn swappiness_has_a_range() {
        let json = r#"{"memory":{"swappiness":101}}"#;
        assert!(knobs(&serde_json::from_str(json).unwrap()).is_err());
    }

    #[test]
    fn unified_is_an_error_on_v1() {
        let json = r#"{"unified":{"memory.max":"1"}}"#;
        let error = knobs(&serde_json::from_str(json).unwrap()).unwrap_err();
        assert!(matches!(error, CgroupError::UnifiedOnV1));
    }
}
