//! `adapt`.

use std::path::PathBuf;

use clap::Args;
use rootling_rootless::idmap::MapOwner;

#[derive(Debug, Args)]
pub(crate) struct Adapt {
    /// The bundle: a directory with config.json [default: this directory]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// Say on standard error what is changed and why
    #[arg(long)]
    pub(crate) explain: bool,
    /// Print what is changed as a unified diff instead of the whole
    #[arg(long)]
    pub(crate) diff: bool,
    /// Whose subordinate ids to map, where config.json has no maps: UID, UID:GID, USER or USER:GROUP
    #[arg(long, value_name = "OWNER")]
    pub(crate) userns_remap: Option<MapOwner>,
    /// Leave out limits that cannot be set here, with a warning
    #[arg(long)]
    pub(crate) ignore_cgroup_limits: bool,
    /// Fail where the container would get less than its config.json asks for
    #[arg(long)]
    pub(crate) strict: bool,
}
