//! `create` and `run`.

use std::path::PathBuf;

use clap::Args;
use rootling_config::id::ContainerId;
use rootling_rootless::idmap::MapOwner;

use super::Id;

#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    pub(crate) id: Id,
    #[command(flatten)]
    pub(crate) making: Making,
}

/// How a container is made.
#[derive(Debug, Args)]
pub(crate) struct Making {
    /// Use the bundle in this directory [default: the current directory]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// Read this file instead of the bundle's config.json
    #[arg(short = 'f', long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Write the pid of the container's first process to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Send the master of the container's terminal to this Unix socket
    #[arg(long, value_name = "SOCKET")]
    pub(crate) console_socket: Option<PathBuf>,
    /// Send a pidfd of the container's first process to this Unix socket
    #[arg(long, value_name = "SOCKET")]
    pub(crate) pidfd_socket: Option<PathBuf>,
    /// Do not use pivot_root(2); only for root file systems in an initial ramdisk
    #[arg(long)]
    pub(crate) no_pivot: bool,
    /// Keep the caller's session keyring
    #[arg(long)]
    pub(crate) no_new_keyring: bool,
    /// Pass this many file descriptors after standard error to the container
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) preserve_fds: u32,
    /// Use config.json as it is, without adapting it to caller and host
    #[arg(long, conflicts_with = "userns_remap")]
    pub(crate) no_adapt: bool,
    /// Map the subordinate ids of OWNER if config.json has no mappings: UID, UID:GID, USER, USER:GROUP, default or root
    #[arg(long, value_name = "OWNER")]
    pub(crate) userns_remap: Option<MapOwner>,
    /// Run without limits that cannot be set on this host, with a warning
    #[arg(long)]
    pub(crate) ignore_cgroup_limits: bool,
    /// Fail if the container would get less than its config.json asks for
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Id of the container [default: a new one that is not in use]
    #[arg(value_name = "CONTAINER-ID")]
    pub(crate) id: Option<ContainerId>,
    #[command(flatten)]
    pub(crate) making: Making,
    /// Exit as soon as the container runs
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Keep the container's state after its program has exited
    #[arg(long)]
    pub(crate) keep: bool,
    /// Do not adopt orphaned processes of the container
    #[arg(long)]
    pub(crate) no_subreaper: bool,
}
