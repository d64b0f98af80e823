//! Limits as values for cgroup v2 files, in the order in which runc writes them.

use oci_spec::runtime::LinuxRdma;
use rootling_config::limits::{
    Bound, Cpu, Cpuset, DeviceWeight, Hugepages, Io, Limits, Memory, Period, Swap, Throttle, Throttled,
};

use crate::convert::{blkio_weight_to_io_weight, cpu_shares_to_weight, or_max, tasks};
use crate::knob::{Knob, OnError};

/// All values; those of `unified` may override others and therefore come last.
pub(crate) fn knobs(limits: &Limits) -> Vec<Knob> {
    // Network classes exist only in version 1.
    let Limits { memory, cpu, cpuset, pids: most, io, hugepages, network: _, rdma: devices, unified } =
        limits;
    let mut knobs: Vec<_> = most.map(pids).into_iter().collect();
    memory_files(memory, &mut knobs);
    io_files(io, &mut knobs);
    cpu_files(cpu, &mut knobs);
    cpuset_files(cpuset, &mut knobs);
    hugetlb(hugepages, "max", &mut knobs);
    knobs.extend(devices.iter().map(rdma));
    // A file may belong to any controller; that the controllers are available has already been checked.
    knobs.extend(unified.iter().map(|(file, value)| Knob::new("", file.to_owned(), value)));
    knobs
}

pub(crate) fn pids(limit: Bound) -> Knob {
    Knob::new("pids", "pids.max", or_max(tasks(limit))).if_limit(limit.is_limit())
}

fn memory_files(memory: &Memory, knobs: &mut Vec<Knob>) {
    let Memory { limit, reservation, swap, swappiness: _, disable_oom_killer: _, check_before_update: _ } =
        memory;
    if let Some(swap) = swap.map(Swap::alone) {
        let knob = Knob::new("memory", "memory.swap.max", or_max(swap));
        // Without swap accounting there is no swap to limit, and these two values change nothing.
        let on_error = if swap == Bound::At(0) { OnError::IgnoreMissing } else { OnError::Fail };
        knobs.push(knob.on_error(on_error).if_limit(swap.is_limit()));
    }
    for (file, value) in [("memory.max", limit), ("memory.low", reservation)] {
        knobs.extend(value.map(|v| Knob::new("memory", file, or_max(v)).if_limit(v.is_limit())));
    }
}

fn cpu_files(cpu: &Cpu, knobs: &mut Vec<Knob>) {
    let Cpu { shares, quota, period, burst, idle, realtime_runtime: _, realtime_period: _ } = cpu;
    knobs.extend(idle.map(|idle| Knob::new("cpu", "cpu.idle", u8::from(idle)).if_limit(idle)));
    // An idle group has no weight, and the kernel refuses to set one.
    if let Some(shares) = shares.filter(|_| *idle != Some(true)) {
        knobs.push(Knob::new("cpu", "cpu.weight", cpu_shares_to_weight(shares)));
    }
    if let Some(burst) = burst {
        // A burst above the quota that is still in force is refused until the new quota has been written.
        let on_error = if quota.is_none() { OnError::Fail } else { OnError::RetryLater };
        knobs.push(Knob::new("cpu", "cpu.max.burst", burst).on_error(on_error).if_limit(*burst != 0));
    }
    if quota.is_some() || period.is_some() {
        let quota = quota.unwrap_or(Bound::Unlimited);
        let value = format!("{} {}", or_max(quota), period.unwrap_or(Period::DEFAULT).get());
        knobs.push(Knob::new("cpu", "cpu.max", value).if_limit(quota.is_limit()));
    }
}

fn cpuset_files(cpuset: &Cpuset, knobs: &mut Vec<Knob>) {
    let Cpuset { cpus, mems } = cpuset;
    for (file, set) in [("cpuset.cpus", cpus), ("cpuset.mems", mems)] {
        knobs.extend(set.iter().map(|set| Knob::new("cpuset", file, set)));
    }
}

fn io_files(io: &Io, knobs: &mut Vec<Knob>) {
    let Io { weight, leaf_weight: _, devices, throttles } = io;
    // With the BFQ scheduler the weight goes to a file of its own, on the specification's scale.
    knobs.extend(weight.map(|weight| {
        Knob::new("io", "io.bfq.weight", weight).or("io.weight", blkio_weight_to_io_weight(weight))
    }));
    for DeviceWeight { device, weight, leaf_weight: _ } in devices {
        // Only BFQ has weights for single devices, and not on kernels before 5.4.
        knobs.extend(weight.map(|weight| {
            let knob = Knob::new("io", "io.bfq.weight", format!("{device} {weight}"));
            knob.on_error(OnError::IgnoreMissing).if_limit(weight != 0)
        }));
    }
    for Throttle { what, device, rate } in throttles {
        knobs.push(throttle(*what, device, *rate));
    }
}

fn throttle(what: Throttled, device: &str, rate: Bound) -> Knob {
    let key = match what {
        Throttled::ReadBps => "rbps",
        Throttled::WriteBps => "wbps",
        Throttled::ReadIops => "riops",
        Throttled::WriteIops => "wiops",
    };
    Knob::new("io", "io.max", format!("{device} {key}={}", or_max(rate))).if_limit(rate.is_limit())
}

/// The limit and, if the kernel has it, the limit on reservations; `suffix` differs on v1.
pub(crate) fn hugetlb(limits: &[Hugepages], suffix: &str, knobs: &mut Vec<Knob>) {
    for (size, value) in limits.iter().map(|entry| (entry.size(), entry.limit())) {
        knobs.push(Knob::new("hugetlb", format!("hugetlb.{size}.{suffix}"), value));
        knobs.push(
            Knob::new("hugetlb", format!("hugetlb.{size}.rsvd.{suffix}"), value)
                .on_error(OnError::IgnoreMissing),
        );
    }
}

pub(crate) fn rdma((device, limits): (&String, &LinuxRdma)) -> Knob {
    let handles = limits.hca_handles().map(|n| format!(" hca_handle={n}")).unwrap_or_default();
    let objects = limits.hca_objects().map(|n| format!(" hca_object={n}")).unwrap_or_default();
    Knob::new("rdma", "rdma.max", format!("{device}{handles}{objects}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knob::testing::limits;

    fn written(json: &str) -> Vec<String> {
        let knobs = knobs(&limits(json));
        knobs.into_iter().map(|k| format!("{}={}", k.file, k.value)).collect()
    }

    #[test]
    fn resources_become_v2_files() {
        for (json, files) in [
            ("{}", &[][..]),
            (r#"{"pids":{"limit":10}}"#, &["pids.max=10"]),
            (r#"{"pids":{"limit":0}}"#, &["pids.max=1"]),
            (r#"{"pids":{"limit":-1}}"#, &["pids.max=max"]),
            (
                r#"{"memory":{"limit":100,"swap":300,"reservation":50}}"#,
                &["memory.swap.max=200", "memory.max=100", "memory.low=50"],
            ),
            (r#"{"memory":{"limit":100,"swap":100}}"#, &["memory.swap.max=0", "memory.max=100"]),
            (r#"{"memory":{"limit":-1}}"#, &["memory.swap.max=max", "memory.max=max"]),
            (r#"{"memory":{"limit":100,"swap":-1}}"#, &["memory.swap.max=max", "memory.max=100"]),
            (r#"{"cpu":{"shares":1024}}"#, &["cpu.weight=100"]),
            (r#"{"cpu":{"quota":5000}}"#, &["cpu.max=5000 100000"]),
            (r#"{"cpu":{"quota":-1,"period":20000}}"#, &["cpu.max=max 20000"]),
            (r#"{"cpu":{"period":20000}}"#, &["cpu.max=max 20000"]),
            (
                r#"{"cpu":{"quota":5000,"burst":100,"idle":1}}"#,
                &["cpu.idle=1", "cpu.max.burst=100", "cpu.max=5000 100000"],
            ),
            (r#"{"cpu":{"shares":512,"idle":1}}"#, &["cpu.idle=1"]),
            (r#"{"cpu":{"shares":512,"idle":0}}"#, &["cpu.idle=0", "cpu.weight=59"]),
            (r#"{"unified":{"cpu.weight":"8","cpu.idle":"1"}}"#, &["cpu.idle=1"]),
            (r#"{"cpu":{"cpus":"0-1","mems":"0"}}"#, &["cpuset.cpus=0-1", "cpuset.mems=0"]),
            (
                r#"{"blockIO":{"weight":500,"weightDevice":[{"major":8,"minor":0,"weight":20}]}}"#,
                &["io.bfq.weight=500", "io.bfq.weight=8:0 20"],
            ),
            (
                r#"{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":9}],"throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":0}]}}"#,
                &["io.max=8:0 rbps=9", "io.max=8:16 wiops=max"],
            ),
            (
                r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4096}]}"#,
                &["hugetlb.2MB.max=4096", "hugetlb.2MB.rsvd.max=4096"],
            ),
            (
                r#"{"rdma":{"mlx5_0":{"hcaHandles":3,"hcaObjects":9}}}"#,
                &["rdma.max=mlx5_0 hca_handle=3 hca_object=9"],
            ),
            (
                r#"{"pids":{"limit":5},"unified":{"pids.max":"7","memory.high":"8"}}"#,
                &["pids.max=5", "memory.high=8", "pids.max=7"],
            ),
        ] {
            assert_eq!(written(json), files, "{json}");
        }
    }
}
