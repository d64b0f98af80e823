//! `create` and `run`.

use std::path::PathBuf;

use clap::Args;
use rootling_rootless::idmap::MapOwner;

use super::Id;

#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    pub(crate) id: Id,
    /// The bundle: a directory with config.json and the root file system [default: this directory]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// Another file instead of the bundle's config.json
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Write the pid of the container's first process to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Socket that gets the master of the container's terminal
    #[arg(long, value_name = "SOCKET")]
    pub(crate) console_socket: Option<PathBuf>,
    /// Socket that gets a pidfd of the container's first process
    #[arg(long, value_name = "SOCKET")]
    pub(crate) pidfd_socket: Option<PathBuf>,
    /// Do not use pivot_root(2); for root file systems in an initial ramdisk only
    #[arg(long)]
    pub(crate) no_pivot: bool,
    /// Keep the caller's session keyring
    #[arg(long)]
    pub(crate) no_new_keyring: bool,
    /// How many descriptors after standard error the container keeps
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) preserve_fds: u32,
    /// Take config.json as it is: nothing is changed for this caller and host
    #[arg(long, conflicts_with = "userns_remap")]
    pub(crate) no_adapt: bool,
    /// Whose subordinate ids to map, where config.json has no maps: UID, UID:GID, USER or USER:GROUP
    #[arg(long, value_name = "OWNER")]
    pub(crate) userns_remap: Option<MapOwner>,
    /// Run without limits that cannot be set here, with a warning
    #[arg(long)]
    pub(crate) ignore_cgroup_limits: bool,
    /// Fail where the container would get less than its config.json asks for
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) create: Create,
    /// Leave the container alone once it runs
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Keep the container's state when it has ended
    #[arg(long)]
    pub(crate) keep: bool,
    /// Do not adopt orphans of the container
    #[arg(long)]
    pub(crate) no_subreaper: bool,
}
