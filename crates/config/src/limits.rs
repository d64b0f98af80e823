//! What `linux.resources` limits. The meaning of each value is decided here and nowhere else.
//!
//! Each value is one of three things:
//!
//! - **not set**: no file is written;
//! - **no limit**: the state of a cgroup before anything is set. It is written, since `update` may lift a limit with
//!   it, but only if its file exists: a container without that controller has no limit to lift;
//! - **a limit**: it needs its controller ([`Limits::asks`]), and whoever cannot have that is told so.
//!
//! These are the meanings that runc 1.5 gives to the values and, where runc does not decide, those of the OCI runtime
//! specification 1.3 (config-linux.md) and of the kernel. runc does not distinguish "no limit" from "a limit": it
//! writes both, and fails if it cannot.
//!
//! | field | not set | no limit | refused |
//! |---|---|---|---|
//! | `memory.limit`, `reservation` | 0 | -1 | below -1 |
//! | `memory.swap` | 0, except with a `limit` of -1: then as -1 | -1 | below -1; without `limit`, or below it |
//! | `memory.swappiness` (v1) | -1 as an unsigned 64-bit number | | above 100 |
//! | `memory.disableOOMKiller` (v1) | false | | |
//! | `memory.checkBeforeUpdate` (v2) | false | always: it concerns an update | |
//! | `memory.kernel`, `kernelTCP`, `useHierarchy` | always: see [`kernel_memory_ignored`] | | |
//! | `cpu.shares` | 0; on v2 also beside an `idle` of 1 | | |
//! | `cpu.quota` | 0 | negative | |
//! | `cpu.period` | 0 | without a positive `quota` | outside 1 ms to 1 s |
//! | `cpu.burst` | absent | 0 | |
//! | `cpu.idle` | absent | 0 | not 0 or 1 |
//! | `cpu.realtimeRuntime` (v1) | 0 | negative | |
//! | `cpu.realtimePeriod` (v1) | 0 | without a positive `realtimeRuntime` | |
//! | `cpu.cpus`, `mems` | empty | | no list of numbers |
//! | `pids.limit` | absent | negative | |
//! | `blockIO.weight`, `leafWeight` (v1) | 0 | | |
//! | `blockIO.weightDevice` | absent weights; on v1 also 0 | 0: the weight of the cgroup | |
//! | `blockIO.throttle*` | empty | a rate of 0 | |
//! | `hugepageLimits` | empty | | negative; a page size that no kernel has |
//! | `network.classID`, `priorities` (v1) | 0; empty | | |
//! | `rdma` | empty | | |
//! | `unified` (v2) | empty | files of the core, `cgroup.*` | a name other than `CONTROLLER.FILE` |
//!
//! 0 is a limit for `pids.limit`: the specification requires that since 1.3, and runc does it since 1.4. What exists
//! only in one version of cgroups is ignored with a warning on the other ([`Limits::ignored`]); `unified` on v1 is an
//! error. "Refused" is what no kernel or no runc accepts; what only some kernels accept is left to the kernel to
//! refuse.

// Each field is named after that of the specification.
#![allow(missing_docs)]

mod controller;
mod cpu;
mod field;
mod io;
mod memory;
mod others;
mod unified;

use std::collections::BTreeMap;

use oci_spec::runtime::{LinuxRdma, LinuxResources};

pub use self::controller::{clear, controllers};
pub use self::cpu::{Cpu, Cpuset, Period};
pub(crate) use self::field::refuse;
pub use self::field::{Ask, Bound, LimitError, Version};
pub use self::io::{DeviceWeight, Io, Throttle, Throttled};
pub use self::memory::{Memory, Swap, Swappiness, kernel_memory_ignored};
pub use self::others::{Hugepages, Network};
pub use self::unified::Unified;

use self::field::Field;

/// `linux.resources` without the device rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub memory: Memory,
    pub cpu: Cpu,
    pub cpuset: Cpuset,
    /// 0 is a limit as well.
    pub pids: Option<Bound>,
    pub io: Io,
    pub hugepages: Vec<Hugepages>,
    pub network: Network,
    /// By device.
    pub rdma: BTreeMap<String, LinuxRdma>,
    pub unified: Unified,
}

impl Limits {
    /// Parses `resources`; device rules are not limits.
    ///
    /// # Errors
    /// [`LimitError`] for the first value that the table refuses.
    pub fn parse(resources: &LinuxResources) -> Result<Self, LimitError> {
        let memory = resources.memory();
        let cpu = resources.cpu().as_ref();
        let hugepages = resources.hugepage_limits().iter().flatten();
        Ok(Self {
            memory: memory.as_ref().map(Memory::parse).transpose()?.unwrap_or_default(),
            cpu: cpu.map(Cpu::parse).transpose()?.unwrap_or_default(),
            cpuset: cpu.map(Cpuset::parse).transpose()?.unwrap_or_default(),
            pids: resources.pids().map(|p| u64::try_from(p.limit()).map_or(Bound::Unlimited, Bound::At)),
            io: resources.block_io().as_ref().map(Io::parse).unwrap_or_default(),
            hugepages: hugepages.map(Hugepages::parse).collect::<Result<_, _>>()?,
            network: resources.network().as_ref().map(Network::parse).unwrap_or_default(),
            rdma: resources.rdma().iter().flatten().map(|(device, limit)| (device.clone(), *limit)).collect(),
            unified: Unified::parse(resources)?,
        })
    }

    /// The limits that need a controller of this version of cgroups, in a fixed order.
    pub fn asks(&self, version: Version) -> Vec<Ask> {
        let asked = self.fields().into_iter().filter(|field| field.is_limit);
        asked.filter_map(|field| Ask::of(field, version)).collect()
    }

    /// What is set but does not exist in this version of cgroups, as text for the user.
    pub fn ignored(&self, version: Version) -> Vec<String> {
        let missing = |field: Field| match (version, field.not_on_v2) {
            (Version::V2, Some(why)) => {
                Some(format!("linux.resources.{} is ignored on cgroup v2: {why}", field.name))
            }
            _ => None,
        };
        self.fields().into_iter().filter_map(missing).collect()
    }

    /// Every value that is set.
    fn fields(&self) -> Vec<Field> {
        let Self { memory, cpu, cpuset, pids, io, hugepages, network, rdma, unified } = self;
        let mut all = memory.fields();
        all.extend(cpu.fields());
        all.extend(cpuset.fields());
        all.extend(pids.map(|limit| Field::bound("pids", "pids.limit", limit)));
        all.extend(io.fields());
        all.extend(hugepages.iter().map(|_| Field::limit("hugetlb", "hugepageLimits", "")));
        all.extend(network.fields());
        all.extend(rdma.keys().map(|_| Field::limit("rdma", "rdma", "")));
        all.extend(unified.fields());
        all
    }
}

#[cfg(test)]
mod tests;
