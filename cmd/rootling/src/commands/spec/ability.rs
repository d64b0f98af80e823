//! What the host's cgroups can do for the caller.

use std::fs;
use std::path::{Path, PathBuf};

use rootling_config::generate::{CgroupDriver, DriverFacts};
use rootling_config::resources::{Ability, Controllers};
use rootling_rootless::host::{CgroupMode, Delegation, Host};

use crate::args::{CgroupManager, Global};

const ROOT: &str = "/sys/fs/cgroup";

/// Who makes cgroups for this caller.
pub(super) fn driver(host: &Host, global: &Global) -> CgroupDriver {
    let asked = match global.cgroup_manager {
        _ if global.systemd_cgroup => Some(CgroupDriver::Systemd),
        Some(CgroupManager::Systemd) => Some(CgroupDriver::Systemd),
        Some(CgroupManager::Cgroupfs) => Some(CgroupDriver::Cgroupfs),
        Some(CgroupManager::Disabled) => Some(CgroupDriver::None),
        None => None,
    };
    let driver = rootling_config::generate::driver(DriverFacts {
        asked,
        systemd: Path::new("/run/systemd/system").is_dir(),
        cgroup2: host.cgroup_mode() == CgroupMode::V2,
        ordinary_user: host.is_ordinary_user(),
    });
    // Somebody may have given a cgroup to an ordinary user all the same.
    match driver {
        CgroupDriver::None if asked.is_none() && host.own_delegation().is_some() => CgroupDriver::Cgroupfs,
        driver => driver,
    }
}

/// What can be limited through this driver.
pub(super) fn ability(host: &Host, driver: CgroupDriver) -> Ability {
    let delegation = match driver {
        CgroupDriver::None => None,
        CgroupDriver::Systemd => host.systemd_delegation().or_else(|| host.own_delegation()),
        CgroupDriver::Cgroupfs => host.own_delegation(),
    };
    let controllers = delegation.map(|found| found.controllers.iter().map(String::as_str));
    let v1 = matches!(host.cgroup_mode(), CgroupMode::V1 | CgroupMode::Hybrid);
    let has = |old: &[&str], new: &[&str]| if v1 { any_v1(old) } else { any_v2(delegation, new) };
    Ability {
        cpus: rootling_runtime::cpus(),
        mems: rootling_runtime::memory_nodes(),
        swap: has(&["memory/memory.memsw.limit_in_bytes"], &["memory.swap.max"]),
        swappiness: has(&["memory/memory.swappiness"], &[]),
        oom_kill_disable: has(&["memory/memory.oom_control"], &[]),
        blkio_weight: has(&["blkio/blkio.weight", "blkio/blkio.bfq.weight"], &["io.weight", "io.bfq.weight"]),
        realtime: if v1 { realtime() } else { None },
        controllers: controllers.map_or_else(Controllers::default, Controllers::among),
    }
}

fn any_v1(files: &[&str]) -> bool {
    files.iter().any(|file| Path::new(ROOT).join(file).exists())
}

/// The root of the hierarchy has no limits, so a cgroup below it is looked at.
fn any_v2(delegation: Option<&Delegation>, files: &[&str]) -> bool {
    let own = delegation.map(|found| found.path.clone());
    let below = own.iter().flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten());
    let below: Vec<PathBuf> = below.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    own.iter().chain(&below).any(|dir| files.iter().any(|file| dir.join(file).exists()))
}

/// The realtime time of the caller's own cgroup, which is above the container's.
fn realtime() -> Option<i64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = own.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let names = fields.next()?;
        names.split(',').any(|name| name == "cpu").then(|| fields.next())?
    })?;
    let dir = Path::new(ROOT).join("cpu").join(path.trim_start_matches('/'));
    fs::read_to_string(dir.join("cpu.rt_runtime_us")).ok()?.trim().parse().ok()
}
