//! The input for making a cgroup.

use rootling_config::CgroupManager;
use rootling_config::limits::Limits;

/// What a container asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// The container's id, already validated, which is the default name of the cgroup.
    pub id: &'a str,
    /// `linux.cgroupsPath`.
    pub path: Option<&'a str>,
    /// Who creates the cgroup.
    pub manager: CgroupManager,
    /// `linux.resources` without the device rules.
    pub limits: Option<&'a Limits>,
    /// Whether the caller is an ordinary user, or root inside a user namespace: then what is not permitted is
    /// left out unless limits depend on it, and device rules are left to the user namespace.
    pub rootless: bool,
}
