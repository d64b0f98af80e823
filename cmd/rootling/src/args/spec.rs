//! `spec`.
#![allow(rustdoc::broken_intra_doc_links)] // Brackets in a help text are no links.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Spec {
    /// Write config.json to this directory [default: the current directory]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// Write to this file instead, or to standard output if it is `-`
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write a config.json for an ordinary user; the default unless the caller is root
    #[arg(long = "rootless", id = "spec_rootless")]
    pub(crate) rootless: bool,
    #[command(flatten)]
    pub(crate) flags: SpecFlags,
}

/// The flags that runc's `spec` does not have. With one of them the spec is another: docs/spec.md.
#[derive(Debug, Default, PartialEq, Args)]
pub(crate) struct SpecFlags {
    /// Use this root file system, relative to the bundle [default: rootfs]
    #[arg(long, value_name = "DIR")]
    pub(crate) rootfs: Option<PathBuf>,
    /// Make the root file system read-only
    #[arg(long)]
    pub(crate) readonly: bool,
    /// Set an environment variable; without =VALUE, to the value that the caller has
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Start the program in this directory
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,
    /// Run the program as this user; names are looked up in the root file system
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub(crate) user: Option<String>,
    /// Set the hostname of the container
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: Option<String>,
    /// Give the program a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Add a capability, or ALL
    #[arg(long, value_name = "CAP")]
    pub(crate) cap_add: Vec<String>,
    /// Drop a capability, or ALL
    #[arg(long, value_name = "CAP")]
    pub(crate) cap_drop: Vec<String>,
    /// Grant everything that root of a user namespace can have
    #[arg(long)]
    pub(crate) privileged_in_userns: bool,
    /// Set a security option: no-new-privileges[=BOOL], seccomp=default|unconfined|FILE, apparmor=NAME, disable, label=...
    #[arg(long, value_name = "OPTION")]
    pub(crate) security_opt: Vec<String>,
    /// Add a mount: type=TYPE,src=SOURCE,dst=DESTINATION[,OPTION...]
    #[arg(long, value_name = "MOUNT")]
    pub(crate) mount: Vec<String>,
    /// Bind-mount a file or directory of the host: SOURCE:DESTINATION[:OPTION,...]
    #[arg(short, long, value_name = "VOLUME")]
    pub(crate) volume: Vec<String>,
    /// Mount a tmpfs: DESTINATION[:OPTION,...]
    #[arg(long, value_name = "TMPFS")]
    pub(crate) tmpfs: Vec<String>,
    /// Add a device, or all devices below a directory: SOURCE[:DESTINATION][:rwm]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Vec<String>,
    /// Allow access to devices by number, such as 'c 10:229 rwm', or to all: 'a *:* rwm'
    #[arg(long, value_name = "RULE")]
    pub(crate) device_cgroup_rule: Vec<String>,
    #[command(flatten)]
    pub(crate) limits: Limits,
    /// Set a resource limit of the process: NAME=SOFT[:HARD]
    #[arg(long, value_name = "LIMIT")]
    pub(crate) ulimit: Vec<String>,
    /// Set a kernel parameter of the container's namespaces
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) sysctl: Vec<String>,
    /// Set how likely the kernel kills the program when memory is short, from -1000 to 1000
    #[arg(long, value_name = "N")]
    pub(crate) oom_score_adj: Option<i64>,
    /// Set the size of /dev/shm [default: 64m]
    #[arg(long, value_name = "SIZE")]
    pub(crate) shm_size: Option<String>,
    /// Use this pid namespace: host, private or container:ID
    #[arg(long, value_name = "MODE")]
    pub(crate) pid: Option<String>,
    /// Use this ipc namespace: host, private or container:ID
    #[arg(long, value_name = "MODE")]
    pub(crate) ipc: Option<String>,
    /// Use this uts namespace: host, private or container:ID
    #[arg(long, value_name = "MODE")]
    pub(crate) uts: Option<String>,
    /// Use this network namespace: host, private, container:ID, or pasta[:OPTION,...], one with a network
    #[arg(long, value_name = "MODE")]
    pub(crate) network: Option<String>,
    /// Let a port of the host lead into the network of pasta: [IP:]HOST:CONTAINER[/udp]
    #[arg(short, long, value_name = "PORT")]
    pub(crate) publish: Vec<String>,
    /// Use this cgroup namespace: host, private or container:ID
    #[arg(long, value_name = "MODE")]
    pub(crate) cgroupns: Option<String>,
    /// Use this user namespace: host, auto, single, container:ID, or the ids of USER[:GROUP] or default
    #[arg(long, value_name = "MODE")]
    pub(crate) userns: Option<String>,
    /// Add an annotation
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) annotation: Vec<String>,
    /// Create the container's cgroup in this one, which is a slice if systemd manages cgroups
    #[arg(long, value_name = "CGROUP")]
    pub(crate) cgroup_parent: Option<String>,
    /// Program and its arguments [default: sh]
    #[arg(last = true, value_name = "ARG")]
    pub(crate) args: Vec<String>,
}

/// Limits of the container's cgroup. Sizes take a unit: 512k, 64m, 1.5g; -1 is no limit.
#[derive(Debug, Default, PartialEq, Args)]
pub(crate) struct Limits {
    /// Limit the memory
    #[arg(short, long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,
    /// Limit memory and swap together [default: twice the memory]
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_swap: Option<String>,
    /// Reserve this much memory for when memory is short
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_reservation: Option<String>,
    /// Set how readily memory is swapped out, from 0 to 100, or -1 for the host's own; cgroup v1 only
    #[arg(long, value_name = "N")]
    pub(crate) memory_swappiness: Option<i64>,
    /// Let processes wait for memory instead of killing them; cgroup v1 only
    #[arg(long)]
    pub(crate) oom_kill_disable: bool,
    /// Refuse a memory limit below this [default: 6m]
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_min: Option<String>,
    /// Limit the CPU time to that of this many CPUs, such as 1.5
    #[arg(long, value_name = "N")]
    pub(crate) cpus: Option<String>,
    /// Set the weight for CPU time, from 2 to 262144
    #[arg(long, value_name = "N")]
    pub(crate) cpu_shares: Option<i64>,
    /// Set the period of the CPU quota, in microseconds
    #[arg(long, value_name = "N")]
    pub(crate) cpu_period: Option<i64>,
    /// Limit the CPU time in each period, in microseconds
    #[arg(long, value_name = "N")]
    pub(crate) cpu_quota: Option<i64>,
    /// Set the period of the realtime quota, in microseconds; cgroup v1 only
    #[arg(long, value_name = "N")]
    pub(crate) cpu_rt_period: Option<i64>,
    /// Limit the realtime CPU time in each period, in microseconds; cgroup v1 only
    #[arg(long, value_name = "N")]
    pub(crate) cpu_rt_runtime: Option<i64>,
    /// Run only on these CPUs, such as 0-3,7
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_cpus: Option<String>,
    /// Use only these memory nodes
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_mems: Option<String>,
    /// Limit the number of processes and threads; 0 or less means no limit
    #[arg(long, value_name = "N")]
    pub(crate) pids_limit: Option<i64>,
    /// Set the weight for block I/O, from 10 to 1000
    #[arg(long, value_name = "N")]
    pub(crate) blkio_weight: Option<i64>,
    /// Set the weight for block I/O of one device
    #[arg(long, value_name = "DEVICE:N")]
    pub(crate) blkio_weight_device: Vec<String>,
    /// Limit the bytes per second that are read from a device
    #[arg(long, value_name = "DEVICE:SIZE")]
    pub(crate) device_read_bps: Vec<String>,
    /// Limit the bytes per second that are written to a device
    #[arg(long, value_name = "DEVICE:SIZE")]
    pub(crate) device_write_bps: Vec<String>,
    /// Limit the read operations per second on a device
    #[arg(long, value_name = "DEVICE:N")]
    pub(crate) device_read_iops: Vec<String>,
    /// Limit the write operations per second on a device
    #[arg(long, value_name = "DEVICE:N")]
    pub(crate) device_write_iops: Vec<String>,
}
