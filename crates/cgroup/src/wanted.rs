//! Which controllers `linux.resources` really asks for.

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

use crate::CgroupError;

/// Controllers that a limit was asked of, by their v2 names, each once.
///
/// "Unlimited" is no limit: a container without a cgroup has that already. Device rules are not
/// counted either: without a cgroup the user namespace keeps device nodes away.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Wanted(Vec<String>);

impl Wanted {
    pub(crate) fn from(resources: Option<&LinuxResources>) -> Self {
        let mut wanted = Self::default();
        let Some(r) = resources else { return wanted };
        wanted.add(r.cpu().as_ref().is_some_and(cpu), "cpu");
        wanted.add(r.cpu().as_ref().is_some_and(cpuset), "cpuset");
        wanted.add(r.memory().as_ref().is_some_and(memory), "memory");
        wanted.add(r.pids().is_some_and(|p| p.limit() >= 0), "pids");
        wanted.add(r.block_io().as_ref().is_some_and(io), "io");
        wanted.add(r.hugepage_limits().as_ref().is_some_and(|l| !l.is_empty()), "hugetlb");
        wanted.add(r.rdma().as_ref().is_some_and(|l| !l.is_empty()), "rdma");
        let net = r.network().as_ref();
        wanted.add(net.is_some_and(|n| n.class_id().is_some_and(|id| id != 0)), "net_cls");
        wanted.add(net.is_some_and(|n| n.priorities().as_ref().is_some_and(|p| !p.is_empty())), "net_prio");
        for key in r.unified().iter().flat_map(|u| u.keys()) {
            // The files of the core, cgroup.*, are in every cgroup.
            if let Some((controller, _)) = key.split_once('.').filter(|(c, _)| *c != "cgroup") {
                wanted.add(true, controller);
            }
        }
        wanted
    }

    fn add(&mut self, asked: bool, controller: &str) {
        if asked && !self.contains(controller) {
            self.0.push(controller.to_owned());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn contains(&self, controller: &str) -> bool {
        self.0.iter().any(|c| c == controller)
    }

    /// Whether one of them cannot work in a threaded cgroup (cgroup-v2.rst, "Threads").
    pub(crate) fn domain_only(&self) -> bool {
        self.0.iter().any(|c| !matches!(c.as_str(), "cpu" | "cpuset" | "pids" | "perf_event"))
    }

    /// The ones that `have` does not hold.
    pub(crate) fn missing(&self, have: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|c| !have(c)).cloned().collect())
    }

    /// The error for the case that these cannot be had.
    pub(crate) fn unavailable(&self, why: String, remedy: String) -> CgroupError {
        CgroupError::ControllerUnavailable { controllers: self.0.join(", "), why, remedy }
    }

    /// Controllers in the words of systemd's `Delegate=`.
    pub(crate) fn list(&self) -> String {
        self.0.join(" ")
    }
}

fn cpu(c: &LinuxCpu) -> bool {
    c.shares().is_some_and(|v| v != 0)
        || c.quota().is_some_and(|v| v > 0)
        || c.period().is_some_and(|v| v != 0)
        || c.burst().is_some()
        || c.idle().is_some()
        || c.realtime_runtime().is_some_and(|v| v != 0)
        || c.realtime_period().is_some_and(|v| v != 0)
}

fn cpuset(c: &LinuxCpu) -> bool {
    [c.cpus(), c.mems()].into_iter().flatten().any(|set| !set.is_empty())
}

fn memory(m: &LinuxMemory) -> bool {
    [m.limit(), m.reservation(), m.swap()].into_iter().flatten().any(|v| v > 0)
        || m.disable_oom_killer().unwrap_or(false)
}

fn io(b: &LinuxBlockIo) -> bool {
    let throttled = [
        b.throttle_read_bps_device(),
        b.throttle_write_bps_device(),
        b.throttle_read_iops_device(),
        b.throttle_write_iops_device(),
    ];
    b.weight().is_some_and(|w| w != 0)
        || b.leaf_weight().is_some_and(|w| w != 0)
        || b.weight_device().as_ref().is_some_and(|d| !d.is_empty())
        || throttled.into_iter().flatten().any(|d| !d.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(json: &str) -> Vec<String> {
        Wanted::from(Some(&serde_json::from_str(json).unwrap())).0
    }

    #[test]
    fn a_limit_asks_for_its_controller() {
        for (json, controllers) in [
            ("{}", &[][..]),
            (r#"{"memory":{"limit":1000}}"#, &["memory"]),
            (r#"{"memory":{"reservation":1000}}"#, &["memory"]),
            (r#"{"cpu":{"shares":512,"cpus":"0"}}"#, &["cpu", "cpuset"]),
            (r#"{"cpu":{"idle":0}}"#, &["cpu"]),
            (r#"{"pids":{"limit":10}}"#, &["pids"]),
            (r#"{"blockIO":{"weight":100}}"#, &["io"]),
            (r#"{"hugepageLimits":[{"pageSize":"2MB","limit":1}]}"#, &["hugetlb"]),
            (r#"{"rdma":{"mlx5_0":{"hcaHandles":1}}}"#, &["rdma"]),
            (r#"{"network":{"classID":1}}"#, &["net_cls"]),
            (r#"{"unified":{"memory.high":"1","memory.low":"1"}}"#, &["memory"]),
            (r#"{"unified":{"cgroup.freeze":"0"}}"#, &[]),
            (r#"{"devices":[{"allow":false,"access":"rwm"}]}"#, &[]),
        ] {
            assert_eq!(wanted(json), controllers, "{json}");
        }
    }

    #[test]
    fn unlimited_asks_for_nothing() {
        assert!(
            wanted(r#"{"memory":{"limit":-1,"swap":-1},"pids":{"limit":-1},"cpu":{"quota":-1}}"#).is_empty()
        );
    }
}
