//! `linux.resources` by controller.

use std::collections::BTreeSet;

use oci_spec::runtime::{LinuxCpu, LinuxResources};

use super::field::CORE;

/// The controllers for which `resources` contains anything, even if it limits nothing, by their version 2 names.
pub fn controllers(resources: &LinuxResources) -> BTreeSet<String> {
    let own = ["cpu", "cpuset", "hugetlb", "io", "memory", "pids", "rdma"].into_iter().map(str::to_owned);
    let files = resources.unified().iter().flatten().filter_map(|(file, _)| file.split_once('.'));
    let all = own.chain(files.map(|(controller, _)| controller.to_owned()).filter(|name| name != CORE));
    all.filter(|name| clear(&mut resources.clone(), name)).collect()
}

/// Removes everything that is for one controller; returns whether there was anything.
pub fn clear(resources: &mut LinuxResources, controller: &str) -> bool {
    let before = resources.clone();
    match controller {
        "memory" => drop(resources.memory_mut().take()),
        // CPU time and placement share an object.
        "cpu" => keep_cpu(resources, |cpu| {
            let mut placement = LinuxCpu::default();
            placement.set_cpus(cpu.cpus().clone()).set_mems(cpu.mems().clone());
            *cpu = placement;
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
    if let Some(files) = resources.unified_mut().as_mut().filter(|files| !files.is_empty()) {
        files.retain(|file, _| file.split_once('.').is_none_or(|(name, _)| name != controller));
        if files.is_empty() {
            resources.set_unified(None);
        }
    }
    *resources != before
}

fn keep_cpu(resources: &mut LinuxResources, change: impl FnOnce(&mut LinuxCpu)) {
    let Some(mut cpu) = resources.cpu().clone() else { return };
    change(&mut cpu);
    if Some(&cpu) != resources.cpu().as_ref() {
        resources.set_cpu(Some(cpu).filter(|cpu| *cpu != LinuxCpu::default()));
    }
}
