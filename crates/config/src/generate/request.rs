//! What the flags ask for, as it was typed.

use std::path::PathBuf;

use super::{Namespaces, Pasta, User};

/// The flags of `rootling spec`; each field is named after its flag. What cannot be understood from the flags alone
/// is already resolved: ids and namespaces.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)] // Each field is the flag that it is named after.
pub struct Request {
    /// The arguments after `--`.
    pub args: Vec<String>,
    pub rootfs: Option<PathBuf>,
    pub readonly: bool,
    /// `KEY=VALUE`; see [`super::environment`].
    pub env: Vec<String>,
    pub workdir: Option<String>,
    pub user: Option<User>,
    pub hostname: Option<String>,
    pub tty: bool,
    pub cap_add: Vec<String>,
    pub cap_drop: Vec<String>,
    pub privileged_in_userns: bool,
    pub security_opt: Vec<String>,
    pub mount: Vec<String>,
    pub volume: Vec<String>,
    pub tmpfs: Vec<String>,
    pub device: Vec<String>,
    pub device_cgroup_rule: Vec<String>,
    pub limits: LimitFlags,
    pub ulimit: Vec<String>,
    pub sysctl: Vec<String>,
    pub oom_score_adj: Option<i64>,
    pub shm_size: Option<String>,
    pub namespaces: Namespaces,
    /// `--network pasta`.
    pub pasta: Option<Pasta>,
    pub publish: Vec<String>,
    pub annotation: Vec<String>,
    pub cgroup_parent: Option<String>,
}

/// The flags about cgroup limits. Whole numbers are kept as typed: their meaning is decided here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // Each field is the flag that it is named after.
pub struct LimitFlags {
    pub memory: Option<String>,
    pub memory_swap: Option<String>,
    pub memory_reservation: Option<String>,
    pub memory_swappiness: Option<i64>,
    pub oom_kill_disable: bool,
    pub memory_min: Option<String>,
    pub cpus: Option<String>,
    pub cpu_shares: Option<i64>,
    pub cpu_period: Option<i64>,
    pub cpu_quota: Option<i64>,
    pub cpu_rt_period: Option<i64>,
    pub cpu_rt_runtime: Option<i64>,
    pub cpuset_cpus: Option<String>,
    pub cpuset_mems: Option<String>,
    pub pids_limit: Option<i64>,
    pub blkio_weight: Option<i64>,
    pub blkio_weight_device: Vec<String>,
    pub device_read_bps: Vec<String>,
    pub device_write_bps: Vec<String>,
    pub device_read_iops: Vec<String>,
    pub device_write_iops: Vec<String>,
}
