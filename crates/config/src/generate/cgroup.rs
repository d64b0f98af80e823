//! `--cgroup-parent`: where the container's cgroup goes, and who makes it.

use oci_spec::runtime::Spec;

use super::error::{GenerateError, wrong};
use super::{Facts, Request};
use crate::{CgroupManager, cgroup_parent};

/// What the choice of a manager depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ManagerFacts {
    /// `--cgroup-manager`, or `--systemd-cgroup`.
    pub asked: Option<CgroupManager>,
    /// systemd is the host's init.
    pub systemd: bool,
    /// Cgroups are of version 2 only.
    pub cgroup2: bool,
    /// The caller is not root.
    pub ordinary_user: bool,
}

/// systemd where the host runs it on cgroup v2, nobody for an ordinary user elsewhere, the cgroup file
/// system otherwise; what is asked for wins.
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
    // The container has no name yet that linux.cgroupsPath could hold.
    let annotations = spec.annotations_mut().get_or_insert_with(Default::default);
    annotations.insert(cgroup_parent::ANNOTATION.to_owned(), parent.clone());
    Ok(())
}
