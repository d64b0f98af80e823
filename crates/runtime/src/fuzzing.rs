//! Entry points for the fuzzer (crates/fuzz): what this crate parses and decides, without a container.

use std::collections::BTreeMap;
use std::path::PathBuf;

use oci_spec::runtime::LinuxResources;
use rootling_config::load::Loaded;
use rootling_rootless::host::Host;
use serde_json::Value;

use crate::error::Result;
use crate::exec::{ExecOptions, ExecPlan};
use crate::lifecycle;
use crate::plan::CreateOptions;
use crate::store::Slot;

/// Does all that a start does with a spec before it makes a process; returns what `exec` would find of the container.
///
/// # Errors
/// Those of `create` and `run`.
pub fn plan(
    loaded: Loaded,
    host: &Host,
    options: &CreateOptions,
    warn: &mut dyn FnMut(String),
) -> Result<Value> {
    json(&lifecycle::plan_loaded(loaded, host, options, warn)?.stored)
}

/// Does all that `exec` does before it makes a process; returns the stored process as it was read.
///
/// # Errors
/// Those of `exec`.
pub fn exec(host: &Host, slot: &Slot, options: &ExecOptions, warn: &mut dyn FnMut(String)) -> Result<Value> {
    let (stored, filter) = slot.read_process()?;
    let read = json(&stored)?;
    ExecPlan::new(host, options, stored, filter, warn)?;
    Ok(read)
}

/// The limits that `update` would write, those that it would store as set, and those that it would restore on failure.
///
/// # Errors
/// The limits cannot be stored.
pub fn update(before: &LinuxResources, wanted: LinuxResources) -> Result<[LinuxResources; 3]> {
    lifecycle::update_of(before, wanted)
}

/// The mount points of the external mounts in a mountinfo, proc_pid_mountinfo(5), given the mountinfo of the host.
pub fn external_mounts(host: &str, inside: &str, own_cgroups: bool) -> Vec<PathBuf> {
    crate::criu::mounts_of(host, inside, own_cgroups)
}

/// The cgroups that `exec --cgroup` names.
///
/// # Errors
/// Those of `exec`.
pub fn cgroups(wanted: &[String]) -> Result<BTreeMap<String, String>> {
    crate::exec::cgroups(wanted)
}

/// The state letter and the start time of a `/proc/PID/stat`, proc_pid_stat(5).
pub fn stat(line: &[u8]) -> Option<(u8, u64)> {
    crate::process::parse_stat(line).map(|stat| (stat.state, stat.start_time))
}

fn json(value: &impl serde::Serialize) -> Result<Value> {
    Ok(serde_json::to_value(value)?)
}
