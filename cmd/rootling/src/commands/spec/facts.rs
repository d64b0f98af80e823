//! The facts that the generator asks for.

use std::fs;

use nix::sys::resource::{Resource, getrlimit};
use oci_spec::runtime::PosixRlimitType;
use rootling_config::generate::Facts;
use rootling_rootless::host::{CgroupMode, Host};
use rootling_runtime::Result;

use super::ability;
use crate::args::Global;

/// CAP_SYS_RESOURCE (linux/capability.h), which raises hard limits.
const SYS_RESOURCE: u8 = 24;

/// Limits that may be raised up to the hard one, and no further.
const LIMITS: [(PosixRlimitType, Resource); 16] = [
    (PosixRlimitType::RlimitCpu, Resource::RLIMIT_CPU),
    (PosixRlimitType::RlimitFsize, Resource::RLIMIT_FSIZE),
    (PosixRlimitType::RlimitData, Resource::RLIMIT_DATA),
    (PosixRlimitType::RlimitStack, Resource::RLIMIT_STACK),
    (PosixRlimitType::RlimitCore, Resource::RLIMIT_CORE),
    (PosixRlimitType::RlimitRss, Resource::RLIMIT_RSS),
    (PosixRlimitType::RlimitNproc, Resource::RLIMIT_NPROC),
    (PosixRlimitType::RlimitNofile, Resource::RLIMIT_NOFILE),
    (PosixRlimitType::RlimitMemlock, Resource::RLIMIT_MEMLOCK),
    (PosixRlimitType::RlimitAs, Resource::RLIMIT_AS),
    (PosixRlimitType::RlimitLocks, Resource::RLIMIT_LOCKS),
    (PosixRlimitType::RlimitSigpending, Resource::RLIMIT_SIGPENDING),
    (PosixRlimitType::RlimitMsgqueue, Resource::RLIMIT_MSGQUEUE),
    (PosixRlimitType::RlimitNice, Resource::RLIMIT_NICE),
    (PosixRlimitType::RlimitRtprio, Resource::RLIMIT_RTPRIO),
    (PosixRlimitType::RlimitRttime, Resource::RLIMIT_RTTIME),
];

pub(super) fn facts(host: &Host, global: &Global) -> Result<Facts> {
    let driver = ability::driver(host, global);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    let privileged = !host.in_user_namespace() && host.has_capability(SYS_RESOURCE);
    Ok(Facts {
        uid: host.euid(),
        gid: host.egid(),
        cgroup2: host.cgroup_mode() == CgroupMode::V2,
        ability: ability::ability(host, driver),
        driver,
        oom_score_adj: host.oom_score_adj().unwrap_or(0),
        capabilities: bounding_set(),
        last_cap: text("/proc/sys/kernel/cap_last_cap").parse().unwrap_or(40),
        hard_limits: if privileged { Vec::new() } else { hard_limits() },
        kernel: (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)),
        apparmor: host.has_apparmor(),
        selinux: host.has_selinux(),
        cwd: std::env::current_dir()?,
    })
}

fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// `CapBnd` of proc_pid_status(5); all of them where it cannot be read.
fn bounding_set() -> u64 {
    let status = text("/proc/self/status");
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(u64::MAX)
}

fn hard_limits() -> Vec<(PosixRlimitType, u64)> {
    LIMITS.iter().filter_map(|(typ, number)| Some((*typ, getrlimit(*number).ok()?.1))).collect()
}
