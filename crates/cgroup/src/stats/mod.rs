//! What a container uses, read from the files of its cgroup, in the format that `runc events` prints.

mod legacy;
mod model;
mod parse;
mod unified;

pub use model::{
    BlkIo, BlkIoEntry, Counted, Cpu, CpuSet, CpuUsage, HugeTlb, IntelRdt, Memory, MemoryEntry,
    NetworkInterface, Pids, Pressure, PressureLine, Source, Stats, Throttling,
};

pub(crate) use legacy::read as legacy;
pub(crate) use unified::read as unified;
