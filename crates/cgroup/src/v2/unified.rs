//! A container's cgroup in the unified hierarchy.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use oci_spec::runtime::LinuxDeviceCgroup;
use rootling_config::limits::{Bound, Limits, Swap, Version};
use serde::{Deserialize, Serialize};

use crate::devices::{self, Ruleset};
use crate::wanted::Wanted;
use crate::{CgroupError, file, knob, oom, procs, v2};

/// A single directory; everything of the container is in it or below it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Unified {
    pub(crate) path: PathBuf,
}

impl Unified {
    /// The directory for clone3's `CLONE_INTO_CGROUP`, which takes an `O_PATH` descriptor too.
    pub(crate) fn open(&self) -> io::Result<OwnedFd> {
        open_dir(&self.path)
    }

    /// Writes the limits; returns what was left out.
    pub(crate) fn apply(&self, limits: &Limits) -> Result<Vec<String>, CgroupError> {
        v2::place::check_controllers(&self.path, &Wanted::of(limits, Version::V2))?;
        self.check_usage(limits)?;
        let dir = |_: &str| Some(self.path.clone());
        knob::write_all(&v2::knobs::knobs(limits), dir, |_| CgroupError::UnifiedOnV1)?;
        Ok(limits.ignored(Version::V2))
    }

    /// Allows the devices in `rules` and the default ones, and no others.
    pub(crate) fn apply_devices(&self, rules: &[LinuxDeviceCgroup]) -> Result<(), CgroupError> {
        devices::install(&self.path, &Ruleset::of(rules)?)
    }

    /// `memory.checkBeforeUpdate`: refuses a limit below the current usage, which would kill processes.
    pub(crate) fn check_usage(&self, limits: &Limits) -> Result<(), CgroupError> {
        let memory = &limits.memory;
        if !memory.check_before_update {
            return Ok(());
        }
        // Best effort: an unknown usage does not exceed the limit.
        let usage = file::read(&self.path, "memory.current").ok();
        let Some(usage) = usage.and_then(|s| s.trim().parse::<u64>().ok()) else { return Ok(()) };
        for (what, limit) in [("memory+swap", memory.swap.map(Swap::with_memory)), ("memory", memory.limit)] {
            if let Some(Bound::At(limit)) = limit
                && limit <= usage
            {
                return Err(CgroupError::BelowUsage { what, limit, usage });
            }
        }
        Ok(())
    }

    /// The number of processes in it that the OOM killer has killed.
    pub(crate) fn oom_kills(&self) -> Option<u64> {
        oom::kills_of(&self.path, "memory.events")
    }

    pub(crate) fn pids(&self) -> Result<Vec<i32>, CgroupError> {
        procs::all(&self.path)
    }
}

/// Writes `cgroup.kill` (Linux 5.14), which no fork can escape. Returns false if there is no such file; a
/// threaded cgroup refuses it with EOPNOTSUPP.
pub(crate) fn kill(dir: &Path) -> Result<bool, CgroupError> {
    match file::write(dir, "cgroup.kill", "1") {
        Ok(()) => Ok(true),
        Err(e) if file::is_gone(&e) || rootling_sys::errno(&e) == Some(Errno::EOPNOTSUPP) => Ok(false),
        Err(source) => Err(CgroupError::Write { path: dir.join("cgroup.kill"), value: "1".into(), source }),
    }
}

/// Opens a directory descriptor that can only be used to refer to the cgroup.
pub(crate) fn open_dir(dir: &Path) -> io::Result<OwnedFd> {
    let flags = (OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits();
    OpenOptions::new().read(true).custom_flags(flags).open(dir).map(OwnedFd::from)
}
