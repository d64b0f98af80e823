//! What can be limited here, and by which manager.

use std::path::{Path, PathBuf};

use rootling_config::CgroupManager;
use rootling_config::generate::{self, ManagerFacts};
use rootling_config::process::affinity::{self, NumberSet};
use rootling_config::resources::{Controllers, LimitSupport};

use super::cgroup::{self, CgroupMode, Delegation};
use super::{Access, Host};

impl Host {
    /// The CPUs that are online.
    pub fn cpus(&self) -> NumberSet {
        self.numbers("/sys/devices/system/cpu/online")
    }

    /// The memory nodes that are online.
    pub fn memory_nodes(&self) -> NumberSet {
        self.numbers("/sys/devices/system/node/online")
    }

    /// A kernel without NUMA has a single node, number 0.
    fn numbers(&self, file: &str) -> NumberSet {
        let text = self.text_of(Path::new(file)).unwrap_or_else(|| "0".to_owned());
        affinity::parse(text.trim()).unwrap_or_default()
    }

    /// The manager that makes cgroups for this caller, unless another one was asked for.
    pub fn cgroup_manager(&self, asked: Option<CgroupManager>) -> CgroupManager {
        let manager = generate::manager(ManagerFacts {
            asked,
            systemd: self.runs_systemd(),
            cgroup2: self.cgroup_mode() == CgroupMode::V2,
            ordinary_user: self.is_ordinary_user(),
        });
        // An ordinary user may have been given a cgroup nevertheless.
        match manager {
            CgroupManager::Disabled if asked.is_none() && self.own_delegation().is_some() => {
                CgroupManager::Cgroupfs
            }
            manager => manager,
        }
    }

    /// The limits that this manager can set for the caller.
    pub fn limit_support(&self, manager: CgroupManager) -> LimitSupport {
        let delegation = match manager {
            CgroupManager::Disabled => None,
            CgroupManager::Systemd => self.systemd_delegation().or_else(|| self.own_delegation()),
            CgroupManager::Cgroupfs => self.own_delegation(),
        };
        let controllers = delegation.map(|found| found.controllers.iter().map(String::as_str));
        let v1 = matches!(self.cgroup_mode(), CgroupMode::V1 | CgroupMode::Hybrid);
        let has = |old: &[&str], new: &[&str]| {
            if v1 { self.any_below(Path::new(cgroup::ROOT), old) } else { self.any_v2(delegation, new) }
        };
        LimitSupport {
            cpus: self.cpus(),
            mems: self.memory_nodes(),
            swap: has(&["memory/memory.memsw.limit_in_bytes"], &["memory.swap.max"]),
            swappiness: has(&["memory/memory.swappiness"], &[]),
            oom_kill_disable: has(&["memory/memory.oom_control"], &[]),
            blkio_weight: has(
                // The root of the hierarchy has no weight, but it has BFQ's counters: the cgroups below it have
                // both.
                &["blkio/blkio.weight", "blkio/blkio.bfq.weight", "blkio/blkio.bfq.io_service_bytes"],
                &["io.weight", "io.bfq.weight"],
            ),
            realtime: if v1 { self.realtime() } else { None },
            controllers: controllers.map_or_else(Controllers::default, Controllers::among),
        }
    }

    fn any_below(&self, dir: &Path, files: &[&str]) -> bool {
        files.iter().any(|file| self.may(&dir.join(file), Access::Read))
    }

    /// The root of the hierarchy has no limits, so a cgroup below it is checked.
    fn any_v2(&self, delegation: Option<&Delegation>, files: &[&str]) -> bool {
        let Some(own) = delegation.map(|found| &found.path) else { return false };
        let below = self.machine().directories(own);
        std::iter::once(own.clone()).chain(below).any(|dir: PathBuf| self.any_below(&dir, files))
    }

    /// The realtime budget of the caller's own cgroup, which is above the container's. For root, the cgroups
    /// between the hierarchy's root and the container are raised as needed.
    fn realtime(&self) -> Option<i64> {
        let text = self.text_of(Path::new("/proc/self/cgroup"))?;
        let own = text.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let names = fields.next()?;
            names.split(',').any(|name| name == "cpu").then(|| fields.next())?
        })?;
        let dir = cgroup::below_root("cpu", if self.is_ordinary_user() { own } else { "" })?;
        self.text_of(&dir.join("cpu.rt_runtime_us"))?.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Fixture;

    #[test]
    fn cgroups_of_a_user_are_those_that_are_given() {
        let given = |machine: Fixture| Host::on(machine).cgroup_manager(None);
        let v2 = || Fixture::ordinary(1000).fs("/sys/fs/cgroup", 0x6367_7270);
        assert_eq!(given(v2()), CgroupManager::Disabled);
        let own = v2().file("/proc/self/cgroup", "0::/mine\n").cgroup("/sys/fs/cgroup/mine", "cpu memory");
        assert_eq!(given(own), CgroupManager::Cgroupfs);
        assert_eq!(Host::on(v2()).cgroup_manager(Some(CgroupManager::Systemd)), CgroupManager::Systemd);
    }

    #[test]
    fn file_of_a_cgroup_says_what_can_be_limited() {
        let machine =
            Fixture::ordinary(1000).fs("/sys/fs/cgroup", 0x6367_7270).file("/proc/self/cgroup", "0::/mine\n");
        let machine =
            machine.cgroup("/sys/fs/cgroup/mine", "memory").file("/sys/devices/system/cpu/online", "0-3\n");
        let support = |machine: Fixture| Host::on(machine).limit_support(CgroupManager::Cgroupfs);
        let without = support(machine.clone());
        assert!(without.controllers.memory && !without.controllers.cpu && !without.swap);
        assert_eq!(without.cpus, affinity::parse("0-3").unwrap());
        assert_eq!(without.mems, affinity::parse("0").unwrap());
        let below = machine.file("/sys/fs/cgroup/mine/below/memory.swap.max", "max\n");
        assert!(support(below).swap);
    }

    #[test]
    fn realtime_time_is_that_of_the_root_for_who_may_hand_it_down() {
        for (uid, expected) in [(0, 950_000), (1000, 0)] {
            let machine = Fixture::ordinary(uid)
                .fs("/sys/fs/cgroup", 0x0102_1994)
                .file("/proc/self/cgroup", "1:cpu,cpuacct:/mine\n")
                .file("/sys/fs/cgroup/cpu/cpu.rt_runtime_us", "950000\n")
                .file("/sys/fs/cgroup/cpu/mine/cpu.rt_runtime_us", "0\n");
            let support = Host::on(machine).limit_support(CgroupManager::Cgroupfs);
            assert_eq!(support.realtime, Some(expected), "{uid}");
        }
    }

    #[test]
    fn weights_of_v1_are_not_in_the_root() {
        let machine = Fixture::ordinary(0).fs("/sys/fs/cgroup", 0x0102_1994);
        let support =
            |machine: Fixture| Host::on(machine).limit_support(CgroupManager::Cgroupfs).blkio_weight;
        assert!(!support(machine.clone().file("/sys/fs/cgroup/blkio/blkio.throttle.io_serviced", "")));
        assert!(support(machine.clone().file("/sys/fs/cgroup/blkio/blkio.weight", "500\n")));
        assert!(support(machine.file("/sys/fs/cgroup/blkio/blkio.bfq.io_service_bytes", "")));
    }
}
