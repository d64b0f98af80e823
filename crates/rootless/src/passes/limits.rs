//! Which cgroup controllers the resources of a spec need. config-linux.md "Control groups"

use std::collections::BTreeSet;

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

/// The controllers with fields of their own in the spec, by their version 2 names.
const CONTROLLERS: [&str; 7] = ["memory", "cpu", "cpuset", "pids", "io", "hugetlb", "rdma"];

/// Every controller that the resources have anything for.
pub(super) fn controllers(resources: &LinuxResources) -> BTreeSet<String> {
    let fixed = CONTROLLERS.iter().filter(|name| is_present(resources, name)).map(|name| (*name).to_owned());
    fixed
        .chain(unified_keys(resources).filter_map(|key| unified_controller(key).map(str::to_owned)))
        .collect()
}

fn unified_keys(resources: &LinuxResources) -> impl Iterator<Item = &str> {
    resources.unified().iter().flatten().map(|(key, _)| key.as_str())
}

/// The files of a controller start with its name; those of the core are there without any.
fn unified_controller(key: &str) -> Option<&str> {
    key.split_once('.').map(|(name, _)| name).filter(|name| *name != "cgroup")
}

fn is_present(resources: &LinuxResources, controller: &str) -> bool {
    let cpu = resources.cpu().as_ref();
    match controller {
        "memory" => resources.memory().is_some(),
        "cpu" => cpu.is_some_and(has_cpu_time),
        "cpuset" => cpu.is_some_and(|cpu| cpu.cpus().is_some() || cpu.mems().is_some()),
        "pids" => resources.pids().is_some(),
        "io" => resources.block_io().is_some(),
        "hugetlb" => resources.hugepage_limits().as_ref().is_some_and(|all| !all.is_empty()),
        "rdma" => resources.rdma().as_ref().is_some_and(|all| !all.is_empty()),
        _ => false,
    }
}

fn has_cpu_time(cpu: &LinuxCpu) -> bool {
    let mut without_cpuset = cpu.clone();
    without_cpuset.set_cpus(None).set_mems(None);
    without_cpuset != LinuxCpu::default()
}

/// The limit that the resources ask of a controller, as `field value`. Zero, -1 and false are what
/// engines write for "no limit".
pub(super) fn limit(resources: &LinuxResources, controller: &str) -> Option<String> {
    let own = match controller {
        "memory" => resources.memory().as_ref().and_then(memory_limit),
        "cpu" => resources.cpu().as_ref().and_then(cpu_limit),
        "cpuset" => resources.cpu().as_ref().and_then(cpuset_limit),
        "pids" => first([("pids.limit", resources.pids().as_ref().map(oci_spec::runtime::LinuxPids::limit))]),
        "io" => resources.block_io().as_ref().and_then(io_limit),
        "hugetlb" => listed("hugepageLimits", resources.hugepage_limits().as_ref().map(Vec::len)),
        "rdma" => listed("rdma", resources.rdma().as_ref().map(std::collections::HashMap::len)),
        _ => None,
    };
    own.or_else(|| unified_limit(resources, controller))
}

fn first<const N: usize>(fields: [(&str, Option<i64>); N]) -> Option<String> {
    let (name, value) = fields.into_iter().find(|(_, value)| value.is_some_and(|value| value > 0))?;
    Some(format!("linux.resources.{name} {}", value.unwrap_or_default()))
}

fn listed(name: &str, count: Option<usize>) -> Option<String> {
    count.filter(|count| *count > 0).map(|_| format!("linux.resources.{name}"))
}

fn signed(value: Option<u64>) -> Option<i64> {
    value.map(|value| i64::try_from(value).unwrap_or(i64::MAX))
}

fn memory_limit(memory: &LinuxMemory) -> Option<String> {
    first([
        ("memory.limit", memory.limit()),
        ("memory.reservation", memory.reservation()),
        ("memory.swap", memory.swap()),
        ("memory.swappiness", signed(memory.swappiness())),
        ("memory.disableOOMKiller", memory.disable_oom_killer().map(i64::from)),
    ])
}

fn cpu_limit(cpu: &LinuxCpu) -> Option<String> {
    first([
        ("cpu.shares", signed(cpu.shares())),
        ("cpu.quota", cpu.quota()),
        ("cpu.burst", signed(cpu.burst())),
        ("cpu.idle", cpu.idle()),
        ("cpu.realtimeRuntime", cpu.realtime_runtime()),
    ])
}

fn cpuset_limit(cpu: &LinuxCpu) -> Option<String> {
    [("cpu.cpus", cpu.cpus()), ("cpu.mems", cpu.mems())].into_iter().find_map(|(name, value)| {
        let value = value.as_deref().filter(|value| !value.is_empty())?;
        Some(format!("linux.resources.{name} {value}"))
    })
}

fn io_limit(io: &LinuxBlockIo) -> Option<String> {
    let weights = [
        ("blockIO.weight", io.weight().map(i64::from)),
        ("blockIO.leafWeight", io.leaf_weight().map(i64::from)),
    ];
    let throttles = [
        ("blockIO.throttleReadBpsDevice", io.throttle_read_bps_device()),
        ("blockIO.throttleWriteBpsDevice", io.throttle_write_bps_device()),
        ("blockIO.throttleReadIOPSDevice", io.throttle_read_iops_device()),
        ("blockIO.throttleWriteIOPSDevice", io.throttle_write_iops_device()),
    ];
    first(weights)
        .or_else(|| listed("blockIO.weightDevice", io.weight_device().as_ref().map(Vec::len)))
        .or_else(|| throttles.iter().find_map(|(name, all)| listed(name, all.as_ref().map(Vec::len))))
}

fn unified_limit(resources: &LinuxResources, controller: &str) -> Option<String> {
    let key = unified_keys(resources).filter(|key| unified_controller(key) == Some(controller)).min()?;
    Some(format!("linux.resources.unified[\"{key}\"]"))
}

/// Takes away everything that is for one controller.
pub(super) fn clear(resources: &mut LinuxResources, controller: &str) {
    match controller {
        "memory" => drop(resources.memory_mut().take()),
        "cpu" => keep_cpu(resources, |cpu| {
            let (cpus, mems) = (cpu.cpus().clone(), cpu.mems().clone());
            *cpu = LinuxCpu::default();
            cpu.set_cpus(cpus).set_mems(mems);
        }),
        "cpuset" => keep_cpu(resources, |cpu| {
            cpu.set_cpus(None).set_mems(None);
        }),
        "pids" => drop(resources.pids_mut().take()),
        "io" => drop(resources.block_io_mut().take()),
        "hugetlb" => drop(resources.hugepage_limits_mut().take()),
        "rdma" => drop(resources.rdma_mut().take()),
        _ => {}
    }
    if let Some(unified) = resources.unified_mut() {
        unified.retain(|key, _| unified_controller(key) != Some(controller));
    }
    if resources.unified().as_ref().is_some_and(std::collections::HashMap::is_empty) {
        resources.set_unified(None);
    }
}

/// Time and placement share an object, which goes when nothing is left in it.
fn keep_cpu(resources: &mut LinuxResources, change: impl FnOnce(&mut LinuxCpu)) {
    if let Some(cpu) = resources.cpu_mut() {
        change(cpu);
        if *cpu == LinuxCpu::default() {
            resources.set_cpu(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(json: &str) -> LinuxResources {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_limit_is_named_with_its_value() {
        for (json, controller, wanted) in [
            (r#"{"memory":{"limit":1048576}}"#, "memory", Some("linux.resources.memory.limit 1048576")),
            (r#"{"memory":{"limit":-1,"disableOOMKiller":false}}"#, "memory", None),
            (
                r#"{"memory":{"disableOOMKiller":true}}"#,
                "memory",
                Some("linux.resources.memory.disableOOMKiller 1"),
            ),
            (r#"{"cpu":{"shares":0}}"#, "cpu", None),
            (r#"{"cpu":{"quota":-1,"period":100000}}"#, "cpu", None),
            (r#"{"cpu":{"quota":50000}}"#, "cpu", Some("linux.resources.cpu.quota 50000")),
            (r#"{"cpu":{"cpus":"0-1"}}"#, "cpu", None),
            (r#"{"cpu":{"cpus":"0-1"}}"#, "cpuset", Some("linux.resources.cpu.cpus 0-1")),
            (r#"{"cpu":{"cpus":"","mems":""}}"#, "cpuset", None),
            (r#"{"pids":{"limit":0}}"#, "pids", None),
            (r#"{"pids":{"limit":10}}"#, "pids", Some("linux.resources.pids.limit 10")),
            (r#"{"blockIO":{"weight":0}}"#, "io", None),
            (
                r#"{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1}]}}"#,
                "io",
                Some("linux.resources.blockIO.throttleReadBpsDevice"),
            ),
            (r#"{"hugepageLimits":[]}"#, "hugetlb", None),
            (
                r#"{"hugepageLimits":[{"pageSize":"2MB","limit":0}]}"#,
                "hugetlb",
                Some("linux.resources.hugepageLimits"),
            ),
            (
                r#"{"unified":{"memory.high":"1"}}"#,
                "memory",
                Some("linux.resources.unified[\"memory.high\"]"),
            ),
            (r#"{"unified":{"misc.max":"1"}}"#, "misc", Some("linux.resources.unified[\"misc.max\"]")),
        ] {
            assert_eq!(limit(&resources(json), controller).as_deref(), wanted, "{json}");
        }
    }

    #[test]
    fn clearing_a_controller_leaves_the_others() {
        let json = r#"{"memory":{"limit":1},"cpu":{"shares":5,"cpus":"0"},"pids":{"limit":1},"blockIO":{"weight":10},
            "hugepageLimits":[{"pageSize":"2MB","limit":0}],"rdma":{"mlx":{"hcaHandles":1}},
            "unified":{"memory.high":"1","cgroup.freeze":"0","misc.max":"1"}}"#;
        let mut all = resources(json);
        assert_eq!(
            controllers(&all).into_iter().collect::<Vec<_>>(),
            ["cpu", "cpuset", "hugetlb", "io", "memory", "misc", "pids", "rdma"]
        );
        for name in ["cpu", "memory", "misc"] {
            clear(&mut all, name);
        }
        assert_eq!(
            controllers(&all).into_iter().collect::<Vec<_>>(),
            ["cpuset", "hugetlb", "io", "pids", "rdma"]
        );
        assert_eq!(all.unified().as_ref().unwrap().keys().collect::<Vec<_>>(), ["cgroup.freeze"]);
        for name in ["cpuset", "hugetlb", "io", "pids", "rdma"] {
            clear(&mut all, name);
        }
        assert!(controllers(&all).is_empty());
        assert!(all.cpu().is_none());
    }
}
