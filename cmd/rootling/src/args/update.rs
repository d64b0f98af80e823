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
    /// Read linux.resources as JSON from this file, or with - from standard input; the other options
    /// are ignored then
    #[arg(short, long, value_name = "FILE")]
    pub(crate) resources: Option<PathBuf>,
    /// Weight of block I/O, from 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    pub(crate) blkio_weight: Option<String>,
    /// Period of the CPU quota, in microseconds
    #[arg(long, value_name = "USEC")]
    pub(crate) cpu_period: Option<String>,
    /// CPU time in each period, in microseconds; -1 for no limit
    #[arg(long, value_name = "USEC", allow_hyphen_values = true)]
    pub(crate) cpu_quota: Option<String>,
    /// CPU time that may be saved up for a burst, in microseconds
    #[arg(long, value_name = "USEC")]
    pub(crate) cpu_burst: Option<String>,
    /// CPU shares, the weight against other containers
    #[arg(long, value_name = "SHARES")]
    pub(crate) cpu_share: Option<String>,
    /// Period of the realtime quota, in microseconds
    #[arg(long, value_name = "USEC")]
    pub(crate) cpu_rt_period: Option<String>,
    /// Realtime CPU time in each period, in microseconds
    #[arg(long, value_name = "USEC", allow_hyphen_values = true)]
    pub(crate) cpu_rt_runtime: Option<String>,
    /// CPUs to run on, such as 0-2,7
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_mems: Option<String>,
    /// Run only when nothing else does: 1, or 0 for not
    #[arg(long, value_name = "0|1", allow_hyphen_values = true)]
    pub(crate) cpu_idle: Option<String>,
    /// Kernel memory no longer has a limit of its own
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, hide = true)]
    pub(crate) kernel_memory: Option<String>,
    /// Neither have the buffers of TCP
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, hide = true)]
    pub(crate) kernel_memory_tcp: Option<String>,
    /// Memory limit: bytes, or with a unit such as 512k, 64M or 1.5g; -1 for none
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub(crate) memory: Option<String>,
    /// The least memory limit that is accepted; without it, below 6m is a warning
    #[arg(long, value_name = "BYTES")]
    pub(crate) memory_min: Option<String>,
    /// Memory that is kept from being reclaimed, or the soft limit of cgroup v1
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub(crate) memory_reservation: Option<String>,
    /// Memory and swap together; -1 for unlimited swap
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub(crate) memory_swap: Option<String>,
    /// How many processes and threads there may be; -1 for no limit
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) pids_limit: Option<String>,
    /// Intel RDT: schema of the L3 cache
    #[arg(long, value_name = "SCHEMA")]
    pub(crate) l3_cache_schema: Option<String>,
    /// Intel RDT: schema of the memory bandwidth
    #[arg(long, value_name = "SCHEMA")]
    pub(crate) mem_bw_schema: Option<String>,
}
