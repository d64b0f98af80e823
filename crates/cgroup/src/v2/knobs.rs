//! `linux.resources` as values of cgroup v2 files, in the order in which runc writes them.

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxHugepageLimit, LinuxMemory, LinuxRdma, LinuxResources, LinuxThrottleDevice,
};

use crate::CgroupError;
use crate::convert::{blkio_weight_to_io_weight, cpu_shares_to_weight, memory_swap_to_v2};
use crate::knob::{Knob, OnError, kernel_memory_ignored};

/// The period of `cpu.max` when only a quota is given, in microseconds (cgroup-v2.rst, "CPU").
const DEFAULT_PERIOD: u64 = 100_000;

/// All values but those of `unified`, which may override them and so come last.
pub(crate) fn knobs(r: &LinuxResources) -> Result<Vec<Knob>, CgroupError> {
    let mut knobs = Vec::new();
    if let Some(p) = r.pids() {
        knobs.push(pids(p.limit()));
    }
    if let Some(m) = r.memory() {
        memory(m, &mut knobs)?;
    }
    if let Some(b) = r.block_io() {
        io(b, &mut knobs);
    }
    if let Some(c) = r.cpu() {
        cpu(c, &mut knobs);
        cpuset(c, &mut knobs);
    }
    hugetlb(r.hugepage_limits().iter().flatten(), "max", &mut knobs);
    for (device, limits) in r.rdma().iter().flatten() {
        knobs.push(rdma(device, *limits));
    }
    unified(r, &mut knobs)?;
    Ok(knobs)
}

/// A negative limit is none. systemd takes no 0, so 0 is 1 for both drivers: no new process.
pub(crate) fn pids(limit: i64) -> Knob {
    let value = match limit {
        ..0 => "max".to_owned(),
        0 => "1".to_owned(),
        n => n.to_string(),
    };
    Knob::new("pids", "pids.max", value).lifting(limit < 0)
}

/// -1 is unlimited, 0 is unset.
fn bytes(value: Option<i64>) -> Option<String> {
    match value {
        None | Some(0) => None,
        Some(-1) => Some("max".to_owned()),
        Some(n) => Some(n.to_string()),
    }
}

fn memory(m: &LinuxMemory, knobs: &mut Vec<Knob>) -> Result<(), CgroupError> {
    let swap = memory_swap_to_v2(m.swap().unwrap_or(0), m.limit().unwrap_or(0))?;
    match swap {
        None => {}
        // Without swap accounting there is no swap to be limited: these two change nothing.
        Some(-1) => {
            knobs.push(Knob::new("memory", "memory.swap.max", "max").on_error(OnError::IgnoreMissing));
        }
        Some(0) => knobs.push(Knob::new("memory", "memory.swap.max", 0).on_error(OnError::IgnoreMissing)),
        Some(n) => knobs.push(Knob::new("memory", "memory.swap.max", n)),
    }
    if let Some(limit) = bytes(m.limit()) {
        let unlimited = limit == "max";
        knobs.push(Knob::new("memory", "memory.max", limit).lifting(unlimited));
    }
    if let Some(reservation) = bytes(m.reservation()) {
        knobs.push(Knob::new("memory", "memory.low", reservation));
    }
    Ok(())
}

fn cpu(c: &LinuxCpu, knobs: &mut Vec<Knob>) {
    if let Some(idle) = c.idle() {
        knobs.push(Knob::new("cpu", "cpu.idle", idle));
    }
    // An idle group has no weight, and the kernel refuses one.
    if let Some(shares) = c.shares().filter(|s| *s != 0 && c.idle() != Some(1)) {
        knobs.push(Knob::new("cpu", "cpu.weight", cpu_shares_to_weight(shares)));
    }
    let (quota, period) = (c.quota().unwrap_or(0), c.period().unwrap_or(0));
    if let Some(burst) = c.burst() {
        // A burst above the quota still in force is refused until the new quota is.
        let on_error = if quota == 0 { OnError::Fail } else { OnError::RetryLater };
        knobs.push(Knob::new("cpu", "cpu.max.burst", burst).on_error(on_error));
    }
    if quota != 0 || period != 0 {
        let unlimited = quota <= 0 && period == 0;
        let quota = if quota > 0 { quota.to_string() } else { "max".to_owned() };
        let period = if period == 0 { DEFAULT_PERIOD } else { period };
        knobs.push(Knob::new("cpu", "cpu.max", format!("{quota} {period}")).lifting(unlimited));
    }
}

fn cpuset(c: &LinuxCpu, knobs: &mut Vec<Knob>) {
    for (file, set) in [("cpuset.cpus", c.cpus()), ("cpuset.mems", c.mems())] {
        if let Some(set) = set.as_ref().filter(|s| !s.is_empty()) {
            knobs.push(Knob::new("cpuset", file, set));
        }
    }
}

fn io(b: &LinuxBlockIo, knobs: &mut Vec<Knob>) {
    // With the BFQ scheduler the weight goes to its own file, on the scale of the specification.
    if let Some(weight) = b.weight().filter(|w| *w != 0) {
        let knob = Knob::new("io", "io.bfq.weight", weight);
        knobs.push(knob.or("io.weight", blkio_weight_to_io_weight(weight)));
    }
    for device in b.weight_device().iter().flatten() {
        if let Some(weight) = device.weight() {
            let value = format!("{}:{} {weight}", device.major(), device.minor());
            // Per-device weights are BFQ's alone, and not on kernels before 5.4.
            knobs.push(Knob::new("io", "io.bfq.weight", value).on_error(OnError::IgnoreMissing));
        }
    }
    for (key, devices) in [
        ("rbps", b.throttle_read_bps_device()),
        ("wbps", b.throttle_write_bps_device()),
        ("riops", b.throttle_read_iops_device()),
        ("wiops", b.throttle_write_iops_device()),
    ] {
        knobs.extend(devices.iter().flatten().map(|d| throttle(key, d)));
    }
}

fn throttle(key: &str, d: &LinuxThrottleDevice) -> Knob {
    // 0 removes a limit on v1; v2 would take it as a limit of nothing.
    let rate = if d.rate() == 0 { "max".to_owned() } else { d.rate().to_string() };
    Knob::new("io", "io.max", format!("{}:{} {key}={rate}", d.major(), d.minor()))
}

/// The limit and, where the kernel has it, the limit of reservations; `suffix` differs on v1.
pub(crate) fn hugetlb<'a>(
    limits: impl Iterator<Item = &'a LinuxHugepageLimit>,
    suffix: &str,
    knobs: &mut Vec<Knob>,
) {
    for limit in limits {
        let (size, value) = (limit.page_size(), limit.limit());
        knobs.push(Knob::new("hugetlb", format!("hugetlb.{size}.{suffix}"), value));
        knobs.push(
            Knob::new("hugetlb", format!("hugetlb.{size}.rsvd.{suffix}"), value)
                .on_error(OnError::IgnoreMissing),
        );
    }
}

pub(crate) fn rdma(device: &str, limits: LinuxRdma) -> Knob {
    let handles = limits.hca_handles().map(|n| format!(" hca_handle={n}")).unwrap_or_default();
    let objects = limits.hca_objects().map(|n| format!(" hca_object={n}")).unwrap_or_default();
    Knob::new("rdma", "rdma.max", format!("{device}{handles}{objects}"))
}

/// The files of `unified` by name, which must be names and not paths: they come from config.json.
fn unified(r: &LinuxResources, knobs: &mut Vec<Knob>) -> Result<(), CgroupError> {
    let mut entries: Vec<_> = r.unified().iter().flatten().collect();
    entries.sort();
    for (file, value) in entries {
        let invalid =
            |reason| Err(CgroupError::InvalidResource { field: "unified", value: file.clone(), reason });
        if file.contains('/') {
            return invalid("must be a file name without slashes");
        }
        if file.split_once('.').is_none_or(|(c, p)| c.is_empty() || p.is_empty()) {
            return invalid("must be of the form CONTROLLER.PARAMETER");
        }
        if file != "cpu.weight" || !is_idle(r) {
            knobs.push(Knob::new("", file.clone(), value));
        }
    }
    Ok(())
}

/// Whether `unified` makes the group an idle one.
fn is_idle(r: &LinuxResources) -> bool {
    r.unified().as_ref().and_then(|u| u.get("cpu.idle")).is_some_and(|idle| idle.trim() == "1")
}

/// What v2 has no place for and is left out, as text for the user.
pub(crate) fn ignored(r: &LinuxResources) -> Vec<String> {
    let memory = r.memory().unwrap_or_default();
    let both = "unable to apply both cpu.weight and cpu.idle";
    let idle_shares = |c: &LinuxCpu| c.idle() == Some(1) && c.shares().is_some_and(|s| s != 0);
    let unified_weight = r.unified().as_ref().is_some_and(|u| u.contains_key("cpu.weight"));
    let realtime = |c: &LinuxCpu| c.realtime_runtime().is_some() || c.realtime_period().is_some();
    let table = [
        (memory.swappiness().is_some(), "memory.swappiness", "it is a setting of the whole host"),
        (memory.disable_oom_killer() == Some(true), "memory.disableOOMKiller", "v2 always kills"),
        (r.cpu().as_ref().is_some_and(realtime), "cpu.realtime*", "v2 has no realtime groups"),
        (
            r.block_io().as_ref().is_some_and(|b| b.leaf_weight().is_some()),
            "blockIO.leafWeight",
            "use blockIO.weight",
        ),
        (r.cpu().as_ref().is_some_and(idle_shares), "cpu.shares", both),
        (unified_weight && is_idle(r), "unified[\"cpu.weight\"]", both),
        (r.network().is_some(), "network", "match on the cgroup with nftables or tc instead"),
    ];
    let mut warnings = kernel_memory_ignored(r);
    warnings.extend(
        table
            .into_iter()
            .filter(|(given, ..)| *given)
            .map(|(_, field, why)| format!("linux.resources.{field} is ignored on cgroup v2: {why}")),
    );
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(json: &str) -> Vec<String> {
        let knobs = knobs(&serde_json::from_str(json).unwrap()).unwrap();
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

    #[test]
    fn a_unified_key_must_be_a_file_name() {
        for key in ["../cgroup.procs", "memory", ".max", "memory."] {
            let json = format!(r#"{{"unified":{{{key:?}:"1"}}}}"#);
            let error = knobs(&serde_json::from_str(&json).unwrap()).unwrap_err().to_string();
            assert!(error.contains("unified") && error.contains(key), "{error}");
        }
    }

    #[test]
    fn what_v2_lacks_is_reported() {
        let json =
            r#"{"memory":{"swappiness":10,"kernel":5,"disableOOMKiller":true},"network":{"classID":3}}"#;
        let warnings = ignored(&serde_json::from_str(json).unwrap());
        assert_eq!(warnings.len(), 4, "{warnings:?}");
    }
}
