//! `--cgroup-parent`: where the container's cgroup goes, and who makes it.

use oci_spec::runtime::Spec;

use super::error::{GenerateError, wrong};
use super::{Facts, Request};
use crate::cgroup_parent;

/// Who makes cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupDriver {
    /// systemd, as a scope of its own.
    Systemd,
    /// The runtime, in the cgroup file system.
    Cgroupfs,
    /// Nobody: the container stays in the caller's.
    None,
}

/// What the choice of a driver depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DriverFacts {
    /// `--cgroup-manager`, or `--systemd-cgroup`.
    pub asked: Option<CgroupDriver>,
    /// systemd is the host's init.
    pub systemd: bool,
    /// Cgroups are of version 2 only.
    pub cgroup2: bool,
    /// The caller is not root.
    pub ordinary_user: bool,
}

/// systemd where the host runs it on cgroup v2, nobody for an ordinary user elsewhere, the cgroup file
/// system otherwise; what is asked for wins.
pub fn driver(facts: DriverFacts) -> CgroupDriver {
    match facts {
        DriverFacts { asked: Some(driver), .. } => driver,
        DriverFacts { systemd: true, cgroup2: true, .. } => CgroupDriver::Systemd,
        DriverFacts { ordinary_user: true, .. } => CgroupDriver::None,
        _ => CgroupDriver::Cgroupfs,
    }
}

pub(super) fn run(
    spec: &mut Spec,
    request: &Request,
    facts: &Facts,
    warnings: &mut Vec<String>,
) -> Result<(), GenerateError> {
    let Some(parent) = &request.cgroup_parent else { return Ok(()) };
    if facts.driver == CgroupDriver::None {
        warnings
            .push(format!("--cgroup-parent {parent:?}: nobody makes cgroups for this caller here; left out"));
        return Ok(());
    }
    cgroup_parent::check(parent, facts.driver == CgroupDriver::Systemd)
        .map_err(|problem| wrong("cgroup-parent", parent, problem))?;
    // The container has no name yet that linux.cgroupsPath could hold.
    let annotations = spec.annotations_mut().get_or_insert_with(Default::default);
    annotations.insert(cgroup_parent::ANNOTATION.to_owned(), parent.clone());
    Ok(())
}
