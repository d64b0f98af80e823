//! `update`: changes the limits of a running container.

use oci_spec::runtime::{LinuxMemory, LinuxResources};
use rootling_config::id::ContainerId;
use rootling_config::limits::{self, Limits};
use rootling_config::resources;
use serde_json::{Map, Value};

use super::cgroup_support;
use rootling_init::channel::Warn;
use rootling_rootless::host::Host;

use crate::error::{Error, ErrorKind, Result, of_cgroup, of_limits};
use crate::state::Status;
use crate::store::Store;

/// Rules for limits that a user typed; those from a file go to the kernel as they are.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// The smallest memory limit that is accepted, in bytes. If this is `None`, any limit is accepted, with a warning
    /// below [`MEMORY_MIN`](resources::MEMORY_MIN): users often know that a running container needs less, and runc has
    /// no minimum.
    pub memory_min: Option<i64>,
}

/// Sets the limits in `resources` and leaves all others as they are. Device rules cannot be changed.
///
/// If only one of two values that belong together is given (quota and period, or memory and swap), the other is taken
/// from what was set before. If the kernel refuses a value, those that were set before it are restored.
///
/// # Errors
/// The container does not run, `rules` or the kernel refuses a value, or there is no cgroup to limit.
pub fn update(
    host: &Host,
    store: &Store,
    id: &ContainerId,
    resources: &LinuxResources,
    rules: Option<Rules>,
    warn: Warn<'_>,
) -> Result<()> {
    let slot = store.open(id)?;
    let mut record = slot.read()?;
    let _held = slot.hold()?;
    let status = slot.status(&record)?;
    if matches!(status, Status::Stopped | Status::Creating) {
        return Err(Error::new(
            ErrorKind::WrongState,
            format!(
                "container not running: \"{id}\" is {status}, and only the limits of a running container can be changed"
            ),
        ));
    }
    let before = record.resources.take().unwrap_or_default();
    let mut wanted = resources.clone();
    if wanted.devices_mut().take().is_some_and(|rules| !rules.is_empty()) {
        warn("devices: not changed: device rules are set when a container is made".to_owned());
    }
    let mut wanted = complete(&before, wanted);
    if let Some(Rules { memory_min }) = rules {
        let support = cgroup_support::of(&record.cgroup, host);
        let checked = resources::check_change(&mut wanted, &before, &support, memory_min);
        checked.map_err(|e| Error::invalid(format!("--{e}")))?.into_iter().for_each(&mut *warn);
    }
    let limits = Limits::parse(&wanted).map_err(of_limits)?;
    let ignored = record.cgroup.update(&limits).map_err(|error| {
        let back = Limits::parse(&taken_back(&before, &wanted)).map_err(of_limits);
        if let Err(undo) = back.and_then(|back| record.cgroup.update(&back).map_err(of_cgroup)) {
            tracing::debug!("limits of before: {undo}");
        }
        of_cgroup(error)
    })?;
    limits::kernel_memory_ignored(&wanted).into_iter().for_each(&mut *warn);
    ignored.into_iter().for_each(&mut *warn);
    record.resources = Some(merged(&before, &wanted)?);
    slot.write(&record)?;
    let limit = wanted.memory().as_ref().and_then(LinuxMemory::limit).unwrap_or(0);
    if rules.is_some_and(|r| r.memory_min.is_none()) && (1..resources::MEMORY_MIN).contains(&limit) {
        warn(format!(
            "--memory: {limit} bytes may kill the container's processes; --memory-min {} refuses less than that",
            resources::MEMORY_MIN
        ));
    }
    Ok(())
}

/// Returns what is written for `wanted`, what is stored afterwards, and what is restored if a value is refused.
#[cfg(feature = "fuzzing")]
pub(crate) fn of(before: &LinuxResources, wanted: LinuxResources) -> Result<[LinuxResources; 3]> {
    let wanted = complete(before, wanted);
    let (kept, back) = (merged(before, &wanted)?, taken_back(before, &wanted));
    Ok([wanted, kept, back])
}

/// Adds to `wanted` the other half of each pair that the kernel accepts only together.
fn complete(before: &LinuxResources, mut wanted: LinuxResources) -> LinuxResources {
    let given = |value: Option<i64>| value.filter(|v| *v != 0);
    if let Some(memory) = wanted.memory_mut() {
        let old = before.memory().unwrap_or_default();
        match (given(memory.limit()), given(memory.swap())) {
            // No memory limit means no swap limit either: 0 leaves that to the back end.
            (Some(-1), None) => drop(memory.set_swap(Some(0))),
            (Some(_), None) => drop(memory.set_swap(old.swap())),
            (None, Some(_)) => drop(memory.set_limit(old.limit())),
            _ => {}
        }
    }
    if let Some(cpu) = wanted.cpu_mut() {
        let old = before.cpu().clone().unwrap_or_default();
        let period = cpu.period().filter(|p| *p != 0);
        match (given(cpu.quota()), period) {
            (Some(_), None) => drop(cpu.set_period(old.period())),
            (None, Some(_)) => drop(cpu.set_quota(old.quota())),
            _ => {}
        }
    }
    wanted
}

/// The limits that were set before, restricted to those that `wanted` would have changed.
fn taken_back(before: &LinuxResources, wanted: &LinuxResources) -> LinuxResources {
    let (Ok(Value::Object(before)), Ok(Value::Object(wanted))) =
        (serde_json::to_value(before), serde_json::to_value(wanted))
    else {
        return LinuxResources::default();
    };
    serde_json::from_value(Value::Object(restrict(&before, &wanted))).unwrap_or_default()
}

/// Those members of `all` that `to` has as well, at every depth.
fn restrict(all: &Map<String, Value>, to: &Map<String, Value>) -> Map<String, Value> {
    let member = |(key, value): (&String, &Value)| {
        let kept = match (value, to.get(key)?) {
            (Value::Object(value), Value::Object(to)) => Value::Object(restrict(value, to)),
            _ => value.clone(),
        };
        Some((key.clone(), kept))
    };
    all.iter().filter_map(member).collect()
}

/// All limits that are now in force, as the base of the next update.
fn merged(before: &LinuxResources, wanted: &LinuxResources) -> Result<LinuxResources> {
    let mut all = serde_json::to_value(before)?;
    let mut new = serde_json::to_value(wanted)?;
    if let Some(memory) = new.get_mut("memory").and_then(Value::as_object_mut) {
        // Applies to a single update; it is not a limit.
        memory.remove("checkBeforeUpdate");
    }
    merge(&mut all, new);
    Ok(serde_json::from_value(all)?)
}

fn merge(into: &mut Value, new: Value) {
    match (into, new) {
        (Value::Object(into), Value::Object(new)) => {
            for (key, value) in new {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(new)) => {
            // Entries of a list are per device or per page size; a new entry replaces the old one.
            into.retain(|old| !new.iter().any(|new| is_for_the_same(old, new)));
            into.extend(new);
        }
        (into, new) => *into = new,
    }
}

fn is_for_the_same(old: &Value, new: &Value) -> bool {
    ["major", "minor", "pageSize", "name"].iter().all(|key| old.get(key) == new.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(json: &str) -> LinuxResources {
        serde_json::from_str(json).unwrap()
    }

    fn completed(before: &str, wanted: &str) -> LinuxResources {
        complete(&resources(before), resources(wanted))
    }

    #[test]
    fn the_other_half_comes_from_before() {
        for (before, wanted, expected) in [
            (
                r#"{"cpu":{"quota":5,"period":9}}"#,
                r#"{"cpu":{"quota":7}}"#,
                r#"{"cpu":{"quota":7,"period":9}}"#,
            ),
            (
                r#"{"cpu":{"quota":5,"period":9}}"#,
                r#"{"cpu":{"period":8}}"#,
                r#"{"cpu":{"quota":5,"period":8}}"#,
            ),
            (r#"{"cpu":{"quota":5}}"#, r#"{"cpu":{"shares":8}}"#, r#"{"cpu":{"shares":8}}"#),
            ("{}", r#"{"cpu":{"quota":7}}"#, r#"{"cpu":{"quota":7}}"#),
            (
                r#"{"memory":{"limit":5,"swap":9}}"#,
                r#"{"memory":{"limit":7}}"#,
                r#"{"memory":{"limit":7,"swap":9}}"#,
            ),
            (r#"{"memory":{"limit":5}}"#, r#"{"memory":{"swap":-1}}"#, r#"{"memory":{"limit":5,"swap":-1}}"#),
            (
                r#"{"memory":{"limit":5,"swap":9}}"#,
                r#"{"memory":{"limit":-1}}"#,
                r#"{"memory":{"limit":-1,"swap":0}}"#,
            ),
            (
                r#"{"memory":{"swap":9}}"#,
                r#"{"memory":{"reservation":1}}"#,
                r#"{"memory":{"reservation":1}}"#,
            ),
        ] {
            assert_eq!(completed(before, wanted), resources(expected), "{before} {wanted}");
        }
    }

    #[test]
    fn what_was_not_named_stays_in_the_record() {
        let before = r#"{"pids":{"limit":5},"memory":{"limit":5},
            "blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1},{"major":8,"minor":16,"rate":2}]}}"#;
        let wanted = r#"{"memory":{"reservation":1,"checkBeforeUpdate":true},
            "blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":3}]}}"#;
        let expected = r#"{"pids":{"limit":5},"memory":{"limit":5,"reservation":1},
            "blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":16,"rate":2},{"major":8,"minor":0,"rate":3}]}}"#;
        assert_eq!(merged(&resources(before), &resources(wanted)).unwrap(), resources(expected));
    }

    #[test]
    fn only_what_would_have_changed_is_taken_back() {
        let before = resources(r#"{"pids":{"limit":5},"cpu":{"shares":5,"idle":1}}"#);
        let wanted = resources(r#"{"cpu":{"idle":7},"memory":{"limit":1}}"#);
        assert_eq!(taken_back(&before, &wanted), resources(r#"{"cpu":{"idle":1}}"#));
    }
}
