//! `adapt`.

use std::path::PathBuf;

use clap::Args;
use rootling_rootless::idmap::MapOwner;

#[derive(Debug, Args)]
pub(crate) struct Adapt {
    /// Use the bundle in this directory [default: the current directory]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// Explain each change on standard error
    #[arg(long)]
    pub(crate) explain: bool,
    /// Print a unified diff instead of the whole config.json
    #[arg(long)]
    pub(crate) diff: bool,
    /// Map the subordinate ids of OWNER if config.json has no mappings: UID, UID:GID, USER, USER:GROUP, default or root
    #[arg(long, value_name = "OWNER")]
    pub(crate) userns_remap: Option<MapOwner>,
    /// Leave out limits that cannot be set on this host, with a warning
    #[arg(long)]
    pub(crate) ignore_cgroup_limits: bool,
    /// Fail if the container would get less than its config.json asks for
    #[arg(long)]
    pub(crate) strict: bool,
}
