//! The controllers that a container's limits need.

use rootling_config::limits::{Limits, Version};

use crate::CgroupError;

/// Controllers for which a limit was asked for, by their v2 names, each only once.
///
/// Device rules are not counted: without a cgroup the user namespace keeps device nodes away.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Wanted(Vec<String>);

impl Wanted {
    pub(crate) fn of(limits: &Limits, version: Version) -> Self {
        let mut wanted = Self::default();
        for ask in limits.asks(version) {
            if !wanted.contains(&ask.controller) {
                wanted.0.push(ask.controller);
            }
        }
        wanted
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

    /// Those for which `have` is false.
    pub(crate) fn missing(&self, have: impl Fn(&str) -> bool) -> Self {
        Self(self.0.iter().filter(|c| !have(c)).cloned().collect())
    }

    /// The error if these controllers are not available.
    pub(crate) fn unavailable(&self, why: String, remedy: String) -> CgroupError {
        CgroupError::ControllerUnavailable { controllers: self.0.join(", "), why, remedy }
    }

    /// The controllers in the format of systemd's `Delegate=`.
    pub(crate) fn list(&self) -> String {
        self.0.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::knob::{Knob, testing::limits};
    use crate::{v1, v2};

    /// The controllers without which the files cannot be written.
    fn needed(knobs: &[Knob]) -> BTreeSet<&str> {
        let controller = |knob: &'static str| if knob == "blkio" { "io" } else { knob };
        knobs.iter().filter(|knob| knob.is_limit).map(|knob| controller(knob.controller)).collect()
    }

    /// What is checked before anything is started is what would fail later.
    #[test]
    fn a_controller_is_wanted_where_a_file_of_it_has_to_be_written() {
        for json in [
            "{}",
            r#"{"pids":{"limit":0}}"#,
            r#"{"pids":{"limit":-1}}"#,
            r#"{"memory":{"limit":-1,"swap":-1,"reservation":-1,"swappiness":18446744073709551615}}"#,
            r#"{"memory":{"limit":100,"swap":100}}"#,
            r#"{"memory":{"limit":-1,"swap":100}}"#,
            r#"{"memory":{"reservation":100}}"#,
            r#"{"memory":{"swappiness":0}}"#,
            r#"{"memory":{"disableOOMKiller":true}}"#,
            r#"{"cpu":{"shares":5}}"#,
            r#"{"cpu":{"quota":-1,"period":1000,"burst":0,"idle":0}}"#,
            r#"{"cpu":{"quota":1000,"period":1000}}"#,
            r#"{"cpu":{"burst":1}}"#,
            r#"{"cpu":{"idle":1,"shares":5}}"#,
            r#"{"cpu":{"realtimeRuntime":-1,"realtimePeriod":1000}}"#,
            r#"{"cpu":{"realtimeRuntime":5,"realtimePeriod":1000}}"#,
            r#"{"cpu":{"realtimePeriod":1000}}"#,
            r#"{"cpu":{"cpus":"0","mems":""}}"#,
            r#"{"blockIO":{"weight":10}}"#,
            r#"{"blockIO":{"leafWeight":10}}"#,
            r#"{"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":10}]}}"#,
            r#"{"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":0,"leafWeight":10}]}}"#,
            r#"{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":0}]}}"#,
            r#"{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1}]}}"#,
            r#"{"hugepageLimits":[{"pageSize":"2MB","limit":0}],"rdma":{"mlx":{"hcaHandles":1}}}"#,
            r#"{"network":{"classID":3,"priorities":[{"name":"eth0","priority":3}]}}"#,
        ] {
            let limits = limits(json);
            let v1 = v1::knobs::knobs(&limits).unwrap();
            for (version, knobs) in [(Version::V1, v1), (Version::V2, v2::knobs::knobs(&limits))] {
                let wanted = Wanted::of(&limits, version);
                let wanted: BTreeSet<&str> = wanted.0.iter().map(String::as_str).collect();
                assert_eq!(wanted, needed(&knobs), "{json} {version:?}");
            }
        }
    }

    #[test]
    fn each_controller_is_wanted_once() {
        let json =
            r#"{"memory":{"limit":1000},"unified":{"memory.high":"1","cpu.max":"max","cgroup.freeze":"0"}}"#;
        assert_eq!(Wanted::of(&limits(json), Version::V2).list(), "memory cpu");
    }
}
