//! The flags of `spec`, which make a whole configuration.
#![allow(rustdoc::broken_intra_doc_links)] // Brackets in a help text are not links.

use std::path::PathBuf;

use clap::Args;

/// The flags that runc's `spec` does not have. With one of them the spec is another: docs/spec.md.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub struct SpecFlags {
    /// Use this root file system, relative to the bundle [default: rootfs]
    #[arg(long, value_name = "DIR")]
    pub rootfs: Option<PathBuf>,
    /// Make the root file system read-only
    #[arg(long)]
    pub readonly: bool,
    /// Set an environment variable; without =VALUE, to the value that the caller has
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub env: Vec<String>,
    /// Start the program in this directory
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Run the program as this user; names are looked up in the root file system
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Set the hostname of the container
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Give the program a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Add a capability, or ALL
    #[arg(long, value_name = "CAP")]
    pub cap_add: Vec<String>,
    /// Drop a capability, or ALL
    #[arg(long, value_name = "CAP")]
    pub cap_drop: Vec<String>,
    /// Grant everything that root of a user namespace can have
    #[arg(long)]
    pub privileged_in_userns: bool,
    /// Set a security option: no-new-privileges[=BOOL], seccomp=default|unconfined|FILE, apparmor=NAME, disable, label=...
    #[arg(long, value_name = "OPTION")]
    pub security_opt: Vec<String>,
    /// Add a mount: type=TYPE,src=SOURCE,dst=DESTINATION[,OPTION...]
    #[arg(long, value_name = "MOUNT")]
    pub mount: Vec<String>,
    /// Bind-mount a file or directory of the host: SOURCE:DESTINATION[:OPTION,...]
    #[arg(short, long, value_name = "VOLUME")]
    pub volume: Vec<String>,
    /// Mount a tmpfs: DESTINATION[:OPTION,...]
    #[arg(long, value_name = "TMPFS")]
    pub tmpfs: Vec<String>,
    /// Add a device, or all devices below a directory: SOURCE[:DESTINATION][:rwm]
    #[arg(long, value_name = "DEVICE")]
    pub device: Vec<String>,
    /// Allow access to devices by number, such as 'c 10:229 rwm', or to all: 'a *:* rwm'
    #[arg(long, value_name = "RULE")]
    pub device_cgroup_rule: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)] // A comment would become part of the help.
    pub limits: Limits,
    /// Set a resource limit of the process: NAME=SOFT[:HARD]
    #[arg(long, value_name = "LIMIT")]
    pub ulimit: Vec<String>,
    /// Set a kernel parameter of the container's namespaces
    #[arg(long, value_name = "NAME=VALUE")]
    pub sysctl: Vec<String>,
    /// Set how likely the kernel kills the program when memory is short, from -1000 to 1000
    #[arg(long, value_name = "N")]
    pub oom_score_adj: Option<i64>,
    /// Set the size of /dev/shm [default: 64m]
    #[arg(long, value_name = "SIZE")]
    pub shm_size: Option<String>,
    /// Use this pid namespace: host, private or container:ID
    #[arg(long, value_name = "MODE")]
    pub pid: Option<String>,
    /// Use this ipc namespace: host, private or container:ID
    #[arg(long, value_name = "MODE")]
    pub ipc: Option<String>,
    /// Use this uts namespace: host, private or container:ID
    #[arg(long, value_name = "MODE")]
    pub uts: Option<String>,
    /// Use this network namespace: host, private, container:ID, or pasta[:OPTION,...] for one with a network
    #[arg(long, value_name = "MODE")]
    pub network: Option<String>,
    /// Ports of the host that are forwarded to the network of pasta.
    #[arg(
        short,
        long,
        value_name = "PORT",
        help = "Forward a port of the host to the network of pasta: [IP:]HOST:CONTAINER[/udp]"
    )]
    pub publish: Vec<String>,
    /// Use this cgroup namespace: host, private or container:ID
    #[arg(long, value_name = "MODE")]
    pub cgroupns: Option<String>,
    /// Use this user namespace: host, auto, single, container:ID, or the ids of USER[:GROUP] or default
    #[arg(long, value_name = "MODE")]
    pub userns: Option<String>,
    /// Add an annotation
    #[arg(long, value_name = "NAME=VALUE")]
    pub annotation: Vec<String>,
    /// Create the container's cgroup in this one, which is a slice if systemd manages cgroups
    #[arg(long, value_name = "CGROUP")]
    pub cgroup_parent: Option<String>,
    /// Program and its arguments [default: sh]
    #[arg(last = true, value_name = "ARG")]
    pub args: Vec<String>,
}

/// Limits of the container's cgroup. Sizes take a unit: 512k, 64m, 1.5g; -1 is no limit.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub struct Limits {
    /// Limit the memory
    #[arg(short, long, value_name = "SIZE")]
    pub memory: Option<String>,
    /// Limit memory and swap together [default: twice the memory]
    #[arg(long, value_name = "SIZE")]
    pub memory_swap: Option<String>,
    /// Reserve this much memory for when memory is short
    #[arg(long, value_name = "SIZE")]
    pub memory_reservation: Option<String>,
    /// Set how readily memory is swapped out, from 0 to 100, or -1 for the host's own; cgroup v1 only
    #[arg(long, value_name = "N")]
    pub memory_swappiness: Option<i64>,
    /// Let processes wait for memory instead of killing them; cgroup v1 only
    #[arg(long)]
    pub oom_kill_disable: bool,
    /// Refuse a memory limit below this [default: 6m]
    #[arg(long, value_name = "SIZE")]
    pub memory_min: Option<String>,
    /// Limit the CPU time to that of this many CPUs, such as 1.5
    #[arg(long, value_name = "N")]
    pub cpus: Option<String>,
    /// Set the weight for CPU time, from 2 to 262144
    #[arg(long, value_name = "N")]
    pub cpu_shares: Option<i64>,
    /// Set the period of the CPU quota, in microseconds
    #[arg(long, value_name = "N")]
    pub cpu_period: Option<i64>,
    /// Limit the CPU time in each period, in microseconds
    #[arg(long, value_name = "N")]
    pub cpu_quota: Option<i64>,
    /// Set the period of the realtime quota, in microseconds; cgroup v1 only
    #[arg(long, value_name = "N")]
    pub cpu_rt_period: Option<i64>,
    /// Limit the realtime CPU time in each period, in microseconds; cgroup v1 only
    #[arg(long, value_name = "N")]
    pub cpu_rt_runtime: Option<i64>,
    /// Run only on these CPUs, such as 0-3,7
    #[arg(long, value_name = "LIST")]
    pub cpuset_cpus: Option<String>,
    /// Use only these memory nodes
    #[arg(long, value_name = "LIST")]
    pub cpuset_mems: Option<String>,
    /// Limit the number of processes and threads; 0 or less means no limit
    #[arg(long, value_name = "N")]
    pub pids_limit: Option<i64>,
    /// Set the weight for block I/O, from 10 to 1000
    #[arg(long, value_name = "N")]
    pub blkio_weight: Option<i64>,
    /// Set the weight for block I/O of one device
    #[arg(long, value_name = "DEVICE:N")]
    pub blkio_weight_device: Vec<String>,
    /// Limit the bytes per second that are read from a device
    #[arg(long, value_name = "DEVICE:SIZE")]
    pub device_read_bps: Vec<String>,
    /// Limit the bytes per second that are written to a device
    #[arg(long, value_name = "DEVICE:SIZE")]
    pub device_write_bps: Vec<String>,
    /// Limit the read operations per second on a device
    #[arg(long, value_name = "DEVICE:N")]
    pub device_read_iops: Vec<String>,
    /// Limit the write operations per second on a device
    #[arg(long, value_name = "DEVICE:N")]
    pub device_write_iops: Vec<String>,
}
