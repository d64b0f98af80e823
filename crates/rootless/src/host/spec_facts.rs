//! What the generator of specs needs to know about this host.

use std::path::PathBuf;

use oci_spec::runtime::PosixRlimitType;
use rootling_config::CgroupManager;
use rootling_config::generate::Facts;
use rootling_config::process::rlimit;
use rootling_sys as sys;

use super::{CgroupMode, Host};

/// CAP_SYS_RESOURCE (linux/capability.h), which permits raising hard limits.
const SYS_RESOURCE: u8 = 24;

impl Host {
    /// The facts for [`rootling_config::generate`], for a caller in the directory `cwd` who asked for this cgroup
    /// manager.
    pub fn spec_facts(&self, asked: Option<CgroupManager>, cwd: PathBuf) -> Facts {
        let cgroup_manager = self.cgroup_manager(asked);
        let privileged = !self.in_user_namespace() && self.has_capability(SYS_RESOURCE);
        Facts {
            uid: self.euid(),
            gid: self.egid(),
            cgroup2: self.cgroup_mode() == CgroupMode::V2,
            support: self.limit_support(cgroup_manager),
            cgroup_manager,
            oom_score_adj: self.oom_score_adj().unwrap_or(0),
            capabilities: self.bounding_set(),
            last_cap: self
                .number("/proc/sys/kernel/cap_last_cap")
                .and_then(|n| n.try_into().ok())
                .unwrap_or(40),
            hard_limits: if privileged { Vec::new() } else { hard_limits() },
            kernel: self.kernel(),
            first_free_port: self.first_free_port(),
            may_ping: self
                .ping_group_range()
                .is_none_or(|(first, last)| (first..=last).contains(&self.egid())),
            apparmor: self.has_apparmor(),
            selinux: self.has_selinux(),
            cwd,
        }
    }

    /// `CapBnd` of proc_pid_status(5); all capabilities if it cannot be read.
    fn bounding_set(&self) -> u64 {
        self.status_field("CapBnd").and_then(|hex| u64::from_str_radix(&hex, 16).ok()).unwrap_or(u64::MAX)
    }
}

fn hard_limits() -> Vec<(PosixRlimitType, u64)> {
    // 0 is the caller.
    let hard = |typ| Some((typ, sys::process::rlimit(0, rlimit::number(typ)).ok()?.1));
    rlimit::ALL.into_iter().filter_map(hard).collect()
}
