//! Who makes the container's cgroup.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The values of `--cgroup-manager`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupManager {
    /// The runtime, by writing to the cgroup file system.
    #[default]
    Cgroupfs,
    /// systemd, as a transient scope.
    Systemd,
    /// Nobody: the container runs in the caller's cgroup.
    Disabled,
}

impl CgroupManager {
    /// The names that the command line uses for them.
    pub const NAMES: [&str; 3] = ["cgroupfs", "systemd", "disabled"];
}

/// The error for a name that belongs to none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no cgroup manager of this name; use cgroupfs, systemd or disabled")]
pub struct UnknownManager;

impl FromStr for CgroupManager {
    type Err = UnknownManager;

    fn from_str(name: &str) -> Result<Self, UnknownManager> {
        match name {
            "cgroupfs" => Ok(Self::Cgroupfs),
            "systemd" => Ok(Self::Systemd),
            "disabled" => Ok(Self::Disabled),
            _ => Err(UnknownManager),
        }
    }
}
