//! `spec`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Spec {
    /// Directory to write config.json to [default: this directory]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// Write to this file instead; `-` is standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write one for an ordinary user; the default unless the caller is root
    #[arg(long = "rootless", id = "spec_rootless")]
    pub(crate) rootless: bool,
    #[command(flatten)]
    pub(crate) flags: SpecFlags,
}

/// The flags that runc's `spec` does not have. With one of them the spec is another: docs/spec.md.
#[derive(Debug, Default, PartialEq, Args)]
pub(crate) struct SpecFlags {
    /// The root file system, relative to the bundle [default: rootfs]
    #[arg(long, value_name = "DIR")]
    pub(crate) rootfs: Option<PathBuf>,
    /// Make the root file system read-only
    #[arg(long)]
    pub(crate) readonly: bool,
    /// Set a variable of the environment; without =VALUE, to the caller's
    #[arg(short, long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Directory that the program starts in
    #[arg(short, long, value_name = "DIR")]
    pub(crate) workdir: Option<String>,
    /// Whom the program runs as; names are those of the root file system
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub(crate) user: Option<String>,
    /// Name of the host in the container
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
    /// All that root of a user namespace can have: capabilities, no seccomp, nothing masked
    #[arg(long)]
    pub(crate) privileged_in_userns: bool,
    /// no-new-privileges[=BOOL], seccomp=default|unconfined|FILE, apparmor=NAME, label=...
    #[arg(long, value_name = "OPTION")]
    pub(crate) security_opt: Vec<String>,
    /// Mount something: type=TYPE,src=SOURCE,dst=DESTINATION[,OPTION...]
    #[arg(long, value_name = "MOUNT")]
    pub(crate) mount: Vec<String>,
    /// Bind a file or directory of the host: SOURCE:DESTINATION[:OPTION,...]
    #[arg(short, long, value_name = "VOLUME")]
    pub(crate) volume: Vec<String>,
    /// Mount a tmpfs: DESTINATION[:OPTION,...]
    #[arg(long, value_name = "TMPFS")]
    pub(crate) tmpfs: Vec<String>,
    /// Add a device, or all below a directory: SOURCE[:DESTINATION][:rwm]
    #[arg(long, value_name = "DEVICE")]
    pub(crate) device: Vec<String>,
    #[command(flatten)]
    pub(crate) limits: Limits,
    /// Set a resource limit of the process: NAME=SOFT[:HARD]
    #[arg(long, value_name = "LIMIT")]
    pub(crate) ulimit: Vec<String>,
    /// Set a kernel variable of the container's namespaces
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) sysctl: Vec<String>,
    /// How readily the kernel ends the program when memory is short, -1000 to 1000
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) oom_score_adj: Option<i64>,
    /// Size of /dev/shm [default: 64m]
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    pub(crate) shm_size: Option<String>,
    /// Pid namespace: host, private or container:ID
    #[arg(long, value_name = "MODE")]
    pub(crate) pid: Option<String>,
    /// Ipc namespace: host, private or container:ID
    #[arg(long, value_name = "MODE")]
    pub(crate) ipc: Option<String>,
    /// Uts namespace: host, private or container:ID
    #[arg(long, value_name = "MODE")]
    pub(crate) uts: Option<String>,
    /// Network namespace: host, private or container:ID
    #[arg(long, value_name = "MODE")]
    pub(crate) network: Option<String>,
    /// Cgroup namespace: host, private or container:ID
    #[arg(long, value_name = "MODE")]
    pub(crate) cgroupns: Option<String>,
    /// User namespace: host, auto, single, container:ID, or whose ids to map, as USER[:GROUP]
    #[arg(long, value_name = "MODE")]
    pub(crate) userns: Option<String>,
    /// Add an annotation
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) annotation: Vec<String>,
    /// Cgroup to make the container's in; a slice where systemd manages cgroups
    #[arg(long, value_name = "CGROUP")]
    pub(crate) cgroup_parent: Option<String>,
    /// The program and its arguments [default: sh]
    #[arg(last = true, value_name = "ARG")]
    pub(crate) args: Vec<String>,
}

/// Limits of the container's cgroup. Sizes take a unit: 512k, 64m, 1.5g; -1 is no limit.
#[derive(Debug, Default, PartialEq, Args)]
pub(crate) struct Limits {
    /// Limit of memory
    #[arg(short, long, value_name = "SIZE", allow_negative_numbers = true)]
    pub(crate) memory: Option<String>,
    /// Limit of memory and swap together [default: twice the memory]
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    pub(crate) memory_swap: Option<String>,
    /// Memory that is kept for it when memory is short
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    pub(crate) memory_reservation: Option<String>,
    /// How readily its memory is swapped out, 0 to 100; cgroup v1 only
    #[arg(long, value_name = "N")]
    pub(crate) memory_swappiness: Option<u64>,
    /// Let it wait for memory instead of ending it; cgroup v1 only
    #[arg(long)]
    pub(crate) oom_kill_disable: bool,
    /// The least limit that is accepted [default: 6m]
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_min: Option<String>,
    /// How many CPUs' time it may use, such as 1.5
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) cpus: Option<String>,
    /// Weight of its CPU time, 2 to 262144
    #[arg(long, value_name = "N")]
    pub(crate) cpu_shares: Option<u64>,
    /// Period of its CPU time in microseconds
    #[arg(long, value_name = "N")]
    pub(crate) cpu_period: Option<u64>,
    /// CPU time in each period in microseconds
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) cpu_quota: Option<i64>,
    /// Period of its realtime CPU time in microseconds; cgroup v1 only
    #[arg(long, value_name = "N")]
    pub(crate) cpu_rt_period: Option<u64>,
    /// Realtime CPU time in each period in microseconds; cgroup v1 only
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) cpu_rt_runtime: Option<i64>,
    /// CPUs that it may run on, such as 0-3,7
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_cpus: Option<String>,
    /// Memory nodes that it may use
    #[arg(long, value_name = "LIST")]
    pub(crate) cpuset_mems: Option<String>,
    /// How many processes and threads it may have; 0 or less is no limit
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) pids_limit: Option<i64>,
    /// Weight of its block I/O, 10 to 1000
    #[arg(long, value_name = "N")]
    pub(crate) blkio_weight: Option<u16>,
    /// The same for one device
    #[arg(long, value_name = "DEVICE:N")]
    pub(crate) blkio_weight_device: Vec<String>,
    /// Bytes a second that it may read from a device
    #[arg(long, value_name = "DEVICE:SIZE")]
    pub(crate) device_read_bps: Vec<String>,
    /// Bytes a second that it may write to a device
    #[arg(long, value_name = "DEVICE:SIZE")]
    pub(crate) device_write_bps: Vec<String>,
    /// Operations a second that it may read from a device
    #[arg(long, value_name = "DEVICE:N")]
    pub(crate) device_read_iops: Vec<String>,
    /// Operations a second that it may write to a device
    #[arg(long, value_name = "DEVICE:N")]
    pub(crate) device_write_iops: Vec<String>,
}
