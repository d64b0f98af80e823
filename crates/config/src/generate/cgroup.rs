//! `--cgroup-parent`: where the container's cgroup is made, and who makes it.

use oci_spec::runtime::Spec;

use super::error::{GenerateError, wrong};
use super::{Facts, Request};
use crate::{CgroupManager, cgroup_parent};

/// The facts on which the choice of a manager depends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ManagerFacts {
    /// The value of `--cgroup-manager` or `--systemd-cgroup`.
    pub asked: Option<CgroupManager>,
    /// Whether systemd is the host's init.
    pub systemd: bool,
    /// Whether the host has only cgroup v2.
    pub cgroup2: bool,
    /// Whether the caller is not root.
    pub ordinary_user: bool,
}

/// The manager that was asked for. Otherwise it is systemd if the host runs it with cgroup v2, no manager for an
/// ordinary user on any other host, and the cgroup file system for root.
pub fn manager(facts: ManagerFacts) -> CgroupManager {
    match facts {
        ManagerFacts { asked: Some(manager), .. } => manager,
        ManagerFacts { systemd: true, cgroup2: true, .. } => CgroupManager::Systemd,
        ManagerFacts { ordinary_user: true, .. } => CgroupManager::Disabled,
        _ => CgroupManager::Cgroupfs,
    }
}

pub(super) fn run(
    spec: &mut Spec,
    request: &Request,
    facts: &Facts,
    warnings: &mut Vec<String>,
) -> Result<(), GenerateError> {
    let Some(parent) = &request.cgroup_parent else { return Ok(()) };
    if facts.cgroup_manager == CgroupManager::Disabled {
        warnings
            .push(format!("--cgroup-parent {parent:?}: this caller cannot create cgroups here; left out"));
        return Ok(());
    }
    cgroup_parent::check(parent, facts.cgroup_manager == CgroupManager::Systemd)
        .map_err(|problem| wrong("cgroup-parent", parent, problem))?;
    // The container does not have a name yet that could be in linux.cgroupsPath.
    let annotations = spec.annotations_mut().get_or_insert_with(Default::default);
    annotations.insert(cgroup_parent::ANNOTATION.to_owned(), parent.clone());
    Ok(())
}
