//! A container's cgroups in the v1 hierarchies.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxDeviceCgroup;
use rootling_config::limits::{Limits, Version};
use serde::{Deserialize, Serialize};

use super::hierarchy::{HYBRID, Paths};
use super::{freezer, knobs, realtime};
use crate::devices::Ruleset;
use crate::knob::{self, Knob};
use crate::{CgroupError, file, oom, procs, remove, v2};

/// A directory in each hierarchy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Legacy {
    pub(crate) paths: Paths,
    /// Whether a hierarchy that cannot be joined is given up, instead of being an error.
    pub(crate) rootless: bool,
}

impl Legacy {
    /// Joins every hierarchy.
    pub(crate) fn attach(&mut self, pid: i32) -> Result<(), CgroupError> {
        let mut lost = Vec::new();
        for (name, dir) in &self.paths {
            match procs::attach(dir, pid) {
                Err(CgroupError::Attach { source, .. })
                    if self.rootless && file::is_denied(&source) || is_optional(name) =>
                {
                    tracing::debug!(controller = %name, "not joined: {source}");
                    lost.push(name.clone());
                }
                other => other?,
            }
        }
        for name in lost {
            if let Some(dir) = self.paths.remove(&name) {
                let _ = std::fs::remove_dir(dir);
            }
        }
        Ok(())
    }

    /// Writes the limits; returns what was left out.
    pub(crate) fn apply(&self, limits: &Limits) -> Result<Vec<String>, CgroupError> {
        let knobs = knobs::knobs(limits)?;
        match self.paths.get("cpu") {
            Some(dir) => realtime::below_raised(dir, &limits.cpu, || self.write(&knobs))?,
            None => self.write(&knobs)?,
        }
        self.check_shares(limits)?;
        Ok(limits.ignored(Version::V1))
    }

    /// Allows the devices in `rules` and the default ones, and no others.
    pub(crate) fn apply_devices(&self, rules: &[LinuxDeviceCgroup]) -> Result<(), CgroupError> {
        let writes = Ruleset::of(rules)?.v1().into_iter();
        self.write(&writes.map(|(file, rule)| Knob::new("devices", file, rule)).collect::<Vec<_>>())
    }

    fn write(&self, knobs: &[Knob]) -> Result<(), CgroupError> {
        let missing = |knob: &Knob| CgroupError::ControllerUnavailable {
            controllers: knob.controller.to_owned(),
            why: "this container has no cgroup of".to_owned(),
            remedy: "mount its hierarchy or make it writable, then create the container anew".to_owned(),
        };
        knob::write_all(knobs, |c| self.paths.get(c).cloned(), missing)
    }

    /// Warns of shares that the kernel would silently clamp.
    fn check_shares(&self, limits: &Limits) -> Result<(), CgroupError> {
        let asked = knobs::shares_in_force(&limits.cpu).map(NonZeroU64::get);
        let (Some(asked), Some(dir)) = (asked, self.paths.get("cpu")) else { return Ok(()) };
        let set = file::read(dir, "cpu.shares").ok().and_then(|s| s.trim().parse::<u64>().ok());
        let reason = match set {
            Some(set) if asked > set => "the kernel's maximum is 262144",
            Some(set) if asked < set => "the kernel's minimum is 2",
            _ => return Ok(()),
        };
        Err(CgroupError::InvalidResource { field: "cpu.shares", value: asked.to_string(), reason })
    }

    pub(crate) fn freeze(&self) -> Result<(), CgroupError> {
        freezer::freeze(self.freezer("freeze")?)
    }

    pub(crate) fn thaw(&self) -> Result<(), CgroupError> {
        freezer::thaw(self.freezer("thaw")?)
    }

    /// Thaws everything, since the freezer holds back even SIGKILL.
    pub(crate) fn release_killed(&self) -> Result<(), CgroupError> {
        self.paths.get("freezer").map_or(Ok(()), |dir| freezer::thaw_all(dir))
    }

    pub(crate) fn is_frozen(&self) -> Result<bool, CgroupError> {
        self.paths.get("freezer").map_or(Ok(false), |dir| freezer::is_frozen(dir))
    }

    fn freezer(&self, action: &'static str) -> Result<&Path, CgroupError> {
        let remedy =
            "it has none of the freezer controller; mount that hierarchy and create the container anew";
        self.paths.get("freezer").map(PathBuf::as_path).ok_or(CgroupError::NoCgroup { action, remedy })
    }

    /// The hierarchy whose list of processes stands for all.
    pub(crate) fn main(&self) -> Option<&Path> {
        ["devices", "pids", "freezer", "memory"]
            .into_iter()
            .find_map(|name| self.paths.get(name))
            .or_else(|| self.paths.values().next())
            .map(PathBuf::as_path)
    }

    /// Kills through the cgroup2 tree of a hybrid host; false if there is none.
    pub(crate) fn kill(&self) -> Result<bool, CgroupError> {
        let killed = self.paths.get(HYBRID).map_or(Ok(false), |dir| v2::kill(dir))?;
        if killed {
            self.release_killed()?;
        }
        Ok(killed)
    }

    pub(crate) fn pids(&self) -> Result<Vec<i32>, CgroupError> {
        self.main().map_or(Ok(Vec::new()), procs::all)
    }

    /// The number of processes in it that the OOM killer has killed.
    pub(crate) fn oom_kills(&self) -> Option<u64> {
        self.paths.get("memory").map_or(Some(0), |dir| oom::kills_of(dir, "memory.oom_control"))
    }

    /// Removes every directory; continues after an error and returns the first one.
    pub(crate) fn remove(&self) -> Result<(), CgroupError> {
        let results: Vec<_> = self.paths.values().map(|dir| remove::tree(dir)).collect();
        results.into_iter().collect()
    }
}

/// Whether the hierarchy neither limits nor counts anything that a container needs.
pub(super) fn is_optional(name: &str) -> bool {
    matches!(name, HYBRID | "name=systemd" | "misc")
}
