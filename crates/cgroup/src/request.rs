//! What is asked of a cgroup.

use oci_spec::runtime::LinuxResources;
use rootling_config::CgroupManager;

/// What a container asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Request<'a> {
    /// The container's id, already validated: the default name of the cgroup.
    pub id: &'a str,
    /// `linux.cgroupsPath`.
    pub path: Option<&'a str>,
    /// Who creates the cgroup.
    pub manager: CgroupManager,
    /// `linux.resources`.
    pub resources: Option<&'a LinuxResources>,
    /// An ordinary user, or root inside a user namespace: what is not permitted is done without,
    /// unless limits depend on it, and device rules are left to the user namespace.
    pub rootless: bool,
}
