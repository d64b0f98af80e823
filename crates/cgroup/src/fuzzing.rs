//! Entry points for the fuzzer (crates/fuzz): what this crate parses, without a cgroup.

use std::path::Path;

use oci_spec::runtime::LinuxDeviceCgroup;
use rootling_config::limits::Limits;
use zbus::zvariant::Value;

use crate::devices::{Ruleset, program};
use crate::path::{Own, clean};
use crate::stats::{self, Stats};
use crate::systemd::{Translator, Unit, parse, property};
use crate::v1::{self, HYBRID, Paths};
use crate::{CgroupError, file, procs, v2};

/// Everything that limits are turned into, for each version of cgroups and for systemd, with one text for each.
///
/// # Errors
/// Those of placing a container with these limits.
pub fn limits(
    limits: &Limits,
    rules: &[LinuxDeviceCgroup],
    unified: bool,
) -> Result<Vec<String>, CgroupError> {
    let knobs = if unified { v2::knobs::knobs(limits) } else { v1::knobs::knobs(limits)? };
    let mut all: Vec<String> =
        knobs.into_iter().map(|knob| format!("{}={}", knob.file, knob.value)).collect();
    let rules = Ruleset::of(rules)?;
    all.push(format!("{} bytes", program::compile(&rules).len()));
    all.extend(rules.v1().into_iter().map(|(file, rule)| format!("{file}={rule}")));
    let translator = Translator { unified, version: &|| 252 };
    all.extend(translator.properties(limits)?.into_iter().map(|(name, value)| format!("{name}={value}")));
    Ok(all)
}

/// The statistics of a directory with the files of a cgroup: either one of version 2, or all hierarchies of
/// version 1 in one.
///
/// # Errors
/// A file cannot be read.
pub fn statistics(dir: &Path, unified: bool) -> std::io::Result<Stats> {
    if unified {
        return stats::unified(dir);
    }
    let names = ["cpu", "cpuacct", "cpuset", "memory", "pids", "blkio", "hugetlb", HYBRID];
    let paths: Paths = names.into_iter().map(|name| (name.to_owned(), dir.to_owned())).collect();
    stats::legacy(&paths)
}

/// The pids in a directory that has a `cgroup.procs`.
///
/// # Errors
/// The file cannot be read, or has other contents.
pub fn pids(dir: &Path) -> Result<Vec<i32>, CgroupError> {
    procs::all(dir)
}

/// The number that belongs to a key in a file such as `memory.events`.
pub fn event(text: &str, key: &str) -> Option<u64> {
    file::keyed(text, key)
}

/// What `/proc/PID/cgroup` says for a controller, or for the unified hierarchy if the name is empty.
pub fn own(text: &str, controller: &str) -> Option<String> {
    let own = Own::from(text.to_owned());
    let path = if controller.is_empty() { own.unified() } else { own.controller(controller) };
    path.map(|path| path.display().to_string())
}

/// `linux.cgroupsPath` as a path below the mount.
pub fn path(text: &str) -> String {
    clean(text).display().to_string()
}

/// `linux.cgroupsPath` as the path of a systemd unit.
///
/// # Errors
/// It does not have the form of a unit.
pub fn unit(text: &str, rootless: bool) -> Result<String, CgroupError> {
    Unit::parse(Some(text), "id", rootless)?.path().map(|path| path.display().to_string())
}

/// Parses a value in `GVariant`'s text format.
pub fn gvariant(text: &str) -> Option<Value<'static>> {
    parse(text)
}

/// The unit property that an annotation sets.
///
/// # Errors
/// It is not a property that an annotation may set, or its value is invalid.
pub fn annotation(key: &str, value: &str) -> Result<Option<String>, CgroupError> {
    Ok(property(key, value)?.map(|(name, value)| format!("{name}={value}")))
}
