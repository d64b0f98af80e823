//! `--cgroup-parent`: where the container's cgroup goes, and who makes it.

use std::path::Path;

use oci_spec::runtime::Spec;

use super::error::{GenerateError, wrong};
use super::{Facts, Request};

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
    let refuse = |problem: &str| Err(wrong("cgroup-parent", parent, problem));
    if parent.is_empty() || parent.split('/').any(|part| part == "..") || parent.contains('\0') {
        return refuse("is not the path of a cgroup; write it without \"..\"");
    }
    // The name of the bundle, since the container has none yet.
    let name: String = facts
        .bundle
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
        .collect();
    let slice = Path::new(parent).extension().is_some_and(|kind| kind == "slice");
    let path = match facts.driver {
        CgroupDriver::Systemd if !slice || parent.contains(['/', ':']) => {
            return refuse(
                "is not a slice; where systemd manages cgroups, write for example user.slice, \
                 or use --cgroup-manager cgroupfs",
            );
        }
        CgroupDriver::Systemd => format!("{parent}:rootling:{name}"),
        CgroupDriver::Cgroupfs if slice && !parent.contains('/') => {
            return refuse("is a slice of systemd; use --cgroup-manager systemd, or the path of a cgroup");
        }
        CgroupDriver::Cgroupfs => format!("{}/{name}", parent.trim_end_matches('/')),
        CgroupDriver::None => {
            warnings.push(format!(
                "--cgroup-parent {parent:?}: nobody makes cgroups for this caller here; left out"
            ));
            return Ok(());
        }
    };
    if let Some(linux) = spec.linux_mut() {
        linux.set_cgroups_path(Some(path.into()));
    }
    Ok(())
}
