//! `update`.

use std::path::PathBuf;

use clap::Args;

use super::Id;

/// Each value is text here: its errors name the flag in the words that runc has for them.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Update {
    #[command(flatten)]
    pub(crate) id: Id,
    /// Read linux.resources as JSON from this file, or from standard input if it is -, and ignore the other options
    #[arg(short, long, value_name = "FILE")]
    pub(crate) resources: Option<PathBuf>,
    /// Set the weight for block I/O, from 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    pub(crate) blkio_weight: Option<String>,
    /// Set the period of the CPU quota, in microseconds
    #[arg(long, value_name = "USEC")]
    pub(crate) cpu_period: Option<String>,
    /// Limit the CPU time in each period, in microseconds; -1 means no limit
    #[arg(long, value_name = "USEC", allow_hyphen_values = true)]
    pub(crate) cpu_quota: Option<String>,
    /// Limit the CPU time that can be accumulated for a burst, in microseconds
    #[arg(long, value_name = "USEC")]
    pub(crate) cpu_burst: Option<String>,
    /// Set the CPU shares, the weight relative to other containers, from 2 to 262144
    #[arg(long, value_name = "SHARES")]
    pub(crate) cpu_share: Option<String>,
    /// Set the period of the realtime quota, in microseconds
    #[arg(long, value_name = "USEC")]
    pub(crate) cpu_rt_period: Option<String>,
    /// Limit the realtime CPU time in each period, in microseconds
    #[arg(long, value_name = "USEC", allow_hyphen_values = true)]
    pub(crate) cpu_rt_runtime: Option<String>,
    /// Run only on these CPUs, such as 0-2,7
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_cpus: Option<String>,
    /// Use only these memory nodes
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_mems: Option<String>,
    /// Run only when the CPU is otherwise idle if 1, normally if 0
    #[arg(long, value_name = "0|1", allow_hyphen_values = true)]
    pub(crate) cpu_idle: Option<String>,
    /// Ignored, because kernel memory no longer has a limit of its own
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, hide = true)]
    pub(crate) kernel_memory: Option<String>,
    /// Ignored, because TCP buffers no longer have a limit of their own
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, hide = true)]
    pub(crate) kernel_memory_tcp: Option<String>,
    /// Limit the memory, in bytes or with a unit such as 512k, 64M or 1.5g; -1 means no limit
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub(crate) memory: Option<String>,
    /// Refuse a memory limit below this; without this option, warn below 6m
    #[arg(long, value_name = "BYTES")]
    pub(crate) memory_min: Option<String>,
    /// Protect this much memory from reclaim; with cgroup v1, set the soft limit
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub(crate) memory_reservation: Option<String>,
    /// Limit memory and swap together; -1 means unlimited swap
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub(crate) memory_swap: Option<String>,
    /// Limit the number of processes and threads; -1 means no limit, 0 the lowest possible limit
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) pids_limit: Option<String>,
    /// Set the Intel RDT schema of the L3 cache
    #[arg(long, value_name = "SCHEMA")]
    pub(crate) l3_cache_schema: Option<String>,
    /// Set the Intel RDT schema of the memory bandwidth
    #[arg(long, value_name = "SCHEMA")]
    pub(crate) mem_bw_schema: Option<String>,
}
