//! The statistics as `runc events` prints them. Names, order, and what is left out if it is zero are as in its
//! `types/events.go`, since monitoring tools read them.

use std::collections::BTreeMap;

use serde::Serialize;

// serde passes a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// All figures of a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Processor time.
    pub cpu: Cpu,
    /// Placement on processors and memory nodes; cgroup v1 only.
    pub cpuset: CpuSet,
    /// Memory.
    pub memory: Memory,
    /// Processes.
    pub pids: Pids,
    /// Block devices.
    pub blkio: BlkIo,
    /// Huge pages, by size such as `2MB`.
    pub hugetlb: BTreeMap<String, HugeTlb>,
    /// Resource director technology.
    pub intel_rdt: IntelRdt,
    /// Interfaces that the runtime made. It makes none, which runc prints as `null`.
    pub network_interfaces: Option<Vec<NetworkInterface>>,
    /// Which of the figures are counted by a controller. runc does not print it.
    #[serde(skip)]
    pub counted: Counted,
    /// The source of the figures; printed if it is not a cgroup, for which runc has no figures.
    #[serde(skip_serializing_if = "is_zero")]
    pub source: Source,
    /// The parts that cannot be determined, by their names above; only without a cgroup.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<&'static str>,
}

/// The source of figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The controllers of a cgroup, which count everything that was ever in it.
    #[default]
    Cgroup,
    /// Sums over the current processes.
    Processes,
}

impl Source {
    /// The word that is printed for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Processes => "processes",
        }
    }
}

/// Which figures come from a controller; all others are 0 whatever is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Each field is the part of the figures that it is named after.
pub struct Counted {
    pub cpu: bool,
    pub memory: bool,
    pub pids: bool,
    pub blkio: bool,
}

/// A placeholder in the format: no figures are collected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct IntelRdt {}

/// A placeholder in the format: the runtime makes no interfaces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct NetworkInterface {}

/// Processor time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// Time used.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: CpuUsage,
    /// How often and for how long the quota throttled the container.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttling: Throttling,
    /// Waiting for a processor; cgroup v2 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// Processor time in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CpuUsage {
    /// The total.
    #[serde(skip_serializing_if = "is_zero")]
    pub total: u64,
    /// For each processor; cgroup v1 only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    /// In the kernel, for each processor; cgroup v1 only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    /// In user mode, for each processor; cgroup v1 only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    /// In the kernel.
    pub kernel: u64,
    /// In user mode.
    pub user: u64,
}

/// The effect of the quota.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// Number of periods that have passed.
    #[serde(skip_serializing_if = "is_zero")]
    pub periods: u64,
    /// Number of periods in which the quota was used up.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_periods: u64,
    /// Time spent waiting for the next period, in nanoseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_time: u64,
}

/// The flags of the cpuset controller of cgroup v1 (cgroup-v1/cpusets.rst).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // Named as the kernel's files.
pub struct CpuSet {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u16>,
    pub cpu_exclusive: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u16>,
    pub mem_hardwall: u64,
    pub mem_exclusive: u64,
    pub memory_migrate: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub memory_pressure: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// Memory in bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Page cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache: u64,
    /// Memory without swap.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: MemoryEntry,
    /// Memory and swap together, on cgroup v2 too.
    #[serde(skip_serializing_if = "is_zero")]
    pub swap: MemoryEntry,
    /// Kernel memory; cgroup v1 only.
    #[serde(skip_serializing_if = "is_zero")]
    pub kernel: MemoryEntry,
    /// TCP buffers; cgroup v1 only.
    #[serde(rename = "kernelTCP", skip_serializing_if = "is_zero")]
    pub kernel_tcp: MemoryEntry,
    /// The contents of `memory.stat`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    /// Waiting for memory; cgroup v2 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One kind of memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MemoryEntry {
    /// `u64::MAX` for no limit on cgroup v2, a very large number on v1.
    pub limit: u64,
    /// In use.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The highest usage so far.
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was hit; on cgroup v2, how often nothing could be reclaimed then, and 0 for swap.
    pub failcnt: u64,
}

/// Processes and threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pids {
    /// The current number.
    #[serde(skip_serializing_if = "is_zero")]
    pub current: u64,
    /// The limit; 0 for no limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub limit: u64,
}

/// What was transferred to and from block devices.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)] // Named as the kernel's files: blkio-controller.rst.
pub struct BlkIo {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlkIoEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlkIoEntry>,
    #[serde(rename = "ioQueueRecursive", skip_serializing_if = "Vec::is_empty")]
    pub io_queued_recursive: Vec<BlkIoEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_time_recursive: Vec<BlkIoEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_wait_time_recursive: Vec<BlkIoEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_merged_recursive: Vec<BlkIoEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_time_recursive: Vec<BlkIoEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sectors_recursive: Vec<BlkIoEntry>,
    /// Waiting for devices; cgroup v2 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

impl BlkIo {
    /// Bytes read from and written to all devices.
    pub fn bytes(&self) -> (u64, u64) {
        let sum = |op| {
            let matching = self.io_service_bytes_recursive.iter().filter(|e| e.op == op);
            matching.fold(0_u64, |sum, e| sum.saturating_add(e.value))
        };
        (sum("Read"), sum("Write"))
    }
}

/// A figure for one device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // The names say what they are.
pub struct BlkIoEntry {
    #[serde(skip_serializing_if = "is_zero")]
    pub major: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub minor: u64,
    /// `Read`, `Write` and, on cgroup v1, more.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub op: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct HugeTlb {
    /// In use.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The highest usage so far; cgroup v1 only.
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

/// Pressure stall information (Documentation/accounting/psi.rst).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Pressure {
    /// Time in which some tasks waited.
    #[serde(skip_serializing_if = "is_zero")]
    pub some: PressureLine,
    /// Time in which all tasks waited.
    #[serde(skip_serializing_if = "is_zero")]
    pub full: PressureLine,
}

/// Shares of time in per cent, and the total time in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[allow(missing_docs)] // These are the kernel's names: averages over so many seconds.
pub struct PressureLine {
    pub avg10: f64,
    pub avg60: f64,
    pub avg300: f64,
    pub total: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_always_there_is_printed_even_when_it_is_zero() {
        let text = serde_json::to_string(&Stats::default()).unwrap();
        assert_eq!(
            text,
            r#"{"cpu":{},"cpuset":{"cpu_exclusive":0,"mem_hardwall":0,"mem_exclusive":0,"memory_migrate":0,"memory_spread_page":0,"memory_spread_slab":0,"memory_pressure":0,"sched_load_balance":0,"sched_relax_domain_level":0},"memory":{},"pids":{},"blkio":{},"hugetlb":{},"intel_rdt":{},"network_interfaces":null}"#
        );
    }

    #[test]
    fn names_are_those_of_runc() {
        let entry = BlkIoEntry { major: 8, minor: 0, op: "Read".into(), value: 5 };
        let stats = Stats {
            cpu: Cpu {
                usage: CpuUsage { total: 7, ..CpuUsage::default() },
                throttling: Throttling { throttled_periods: 1, ..Throttling::default() },
                psi: None,
            },
            memory: Memory {
                kernel_tcp: MemoryEntry { limit: 1, ..MemoryEntry::default() },
                ..Memory::default()
            },
            blkio: BlkIo {
                io_queued_recursive: vec![entry.clone()],
                io_service_bytes_recursive: vec![entry],
                ..BlkIo::default()
            },
            ..Stats::default()
        };
        let text = serde_json::to_string(&stats).unwrap();
        for part in [
            r#""cpu":{"usage":{"total":7,"kernel":0,"user":0},"throttling":{"throttledPeriods":1}}"#,
            r#""memory":{"kernelTCP":{"limit":1,"failcnt":0}}"#,
            r#""blkio":{"ioServiceBytesRecursive":[{"major":8,"op":"Read","value":5}],"ioQueueRecursive":["#,
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(stats.blkio.bytes(), (5, 0));
    }
}
