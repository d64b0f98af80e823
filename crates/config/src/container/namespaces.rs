//! `linux.namespaces`, and the fields that need one of them.

use std::collections::{BTreeMap, HashSet};

use oci_spec::runtime::Spec;

use crate::error::{ValidateError, invalid};
use crate::namespaces::{Namespace, NamespaceSet};

/// Time namespaces have an offset for each of these clocks (`time_namespaces(7)`).
const CLOCKS: [&str; 2] = ["monotonic", "boottime"];

pub(super) fn check(spec: &Spec, set: &NamespaceSet) -> Result<(), ValidateError> {
    names(spec, set)?;
    paths(spec, set)?;
    user(spec, set)?;
    time(spec, set)?;
    network_devices(spec, set)
}

fn add(kind: &str) -> String {
    format!("add {{\"type\": \"{kind}\"}} to linux.namespaces")
}

/// Without a UTS namespace the names would be the caller's own.
fn names(spec: &Spec, set: &NamespaceSet) -> Result<(), ValidateError> {
    for (field, name) in [("hostname", spec.hostname()), ("domainname", spec.domainname())] {
        let Some(name) = name.as_deref().filter(|name| !name.is_empty()) else { continue };
        if !set.uts.is_set() {
            let problem = format!("{name:?}: unable to set {field} without a private UTS namespace");
            return Err(invalid(field, problem, format!("{}, or remove it", add("uts"))));
        }
        // __NEW_UTS_LEN of linux/utsname.h.
        if name.len() > 64 {
            let problem = format!("{name:?} has {} bytes", name.len());
            return Err(invalid(field, problem, "the kernel takes at most 64, choose a shorter name"));
        }
    }
    Ok(())
}

/// Masks are mounts: without a mount namespace they would cover the host's own files.
fn paths(spec: &Spec, set: &NamespaceSet) -> Result<(), ValidateError> {
    let Some(linux) = spec.linux() else { return Ok(()) };
    for (field, paths) in
        [("linux.maskedPaths", linux.masked_paths()), ("linux.readonlyPaths", linux.readonly_paths())]
    {
        let paths = paths.as_deref().unwrap_or_default();
        if !paths.is_empty() && !set.mount.is_set() {
            let problem = "unable to restrict sys entries without a private MNT namespace";
            return Err(invalid(field, problem, format!("{}, or remove the paths", add("mount"))));
        }
        if let Some(path) = paths.iter().find(|path| !path.starts_with('/') || path.contains('\0')) {
            let problem = format!("{path:?} is not an absolute path");
            return Err(invalid(field, problem, "write it from the container's / on"));
        }
    }
    Ok(())
}

fn user(spec: &Spec, set: &NamespaceSet) -> Result<(), ValidateError> {
    let has = |maps: Option<&Vec<_>>| maps.is_some_and(|maps| !maps.is_empty());
    let linux = spec.linux().as_ref();
    let uid = has(linux.and_then(|linux| linux.uid_mappings().as_ref()));
    let gid = has(linux.and_then(|linux| linux.gid_mappings().as_ref()));
    match &set.user {
        Namespace::None if uid || gid => Err(invalid(
            if uid { "linux.uidMappings" } else { "linux.gidMappings" },
            "user namespace mappings specified, but user namespace isn't enabled in the config",
            format!("{}, or remove the mappings", add("user")),
        )),
        Namespace::New if !uid && !gid => Err(invalid(
            "linux.namespaces",
            "user namespaces enabled, but no namespace path to join nor mappings to apply specified",
            "add linux.uidMappings and linux.gidMappings",
        )),
        Namespace::New if !uid || !gid => {
            let field = if uid { "linux.gidMappings" } else { "linux.uidMappings" };
            Err(invalid(field, "missing, while the other mapping is there", "map at least the container's 0"))
        }
        // A joined namespace has its own mappings; whether these are the same can only be found out on the machine.
        Namespace::None | Namespace::New | Namespace::Path(_) => Ok(()),
    }
}

fn time(spec: &Spec, set: &NamespaceSet) -> Result<(), ValidateError> {
    let offsets = spec.linux().as_ref().and_then(|linux| linux.time_offsets().as_ref());
    let Some(offsets) = offsets.filter(|offsets| !offsets.is_empty()) else { return Ok(()) };
    let field = "linux.timeOffsets";
    match set.time {
        Namespace::New => {}
        Namespace::None => {
            let problem = "time namespace offsets specified, but time namespace isn't enabled in the config";
            return Err(invalid(field, problem, format!("{}, or remove the offsets", add("time"))));
        }
        Namespace::Path(_) => {
            let problem = "time namespace enabled, but both namespace path and time offsets specified";
            return Err(invalid(field, problem, "you may only provide one, remove the other"));
        }
    }
    // Sorted, so that of several errors the same one is always reported.
    for (clock, offset) in BTreeMap::from_iter(offsets) {
        if !CLOCKS.contains(&clock.as_str()) {
            let problem = format!("unknown clock {clock:?}");
            return Err(invalid(field, problem, "use \"monotonic\" or \"boottime\""));
        }
        if let Some(nanosecs) = offset.nanosecs().filter(|nanosecs| *nanosecs > 999_999_999) {
            let problem = format!("{nanosecs} is more than a second");
            return Err(invalid(format!("{field}.{clock}.nanosecs"), problem, "carry it over to secs"));
        }
    }
    Ok(())
}

fn network_devices(spec: &Spec, set: &NamespaceSet) -> Result<(), ValidateError> {
    let devices = spec.linux().as_ref().and_then(|linux| linux.net_devices().as_ref());
    let Some(devices) = devices.filter(|devices| !devices.is_empty()) else { return Ok(()) };
    if !set.network.is_set() {
        let problem = "unable to move network devices without a NET namespace";
        return Err(invalid("linux.netDevices", problem, add("network")));
    }
    let mut seen = HashSet::new();
    for (name, device) in BTreeMap::from_iter(devices) {
        let renamed = device.name().as_deref().filter(|new| !new.is_empty()).unwrap_or(name);
        for name in [name.as_str(), renamed] {
            if !valid_device_name(name) {
                let problem = format!("invalid network device name {name:?}");
                let remedy = "use 1 to 15 characters without blank, / and :";
                return Err(invalid("linux.netDevices", problem, remedy));
            }
        }
        if !seen.insert(renamed) {
            let problem = format!("two devices would be named {renamed:?} in the container");
            return Err(invalid("linux.netDevices", problem, "give one of them another name"));
        }
    }
    Ok(())
}

/// The kernel's own rule (net/core/dev.c, `dev_valid_name`): shorter than `IFNAMSIZ`, which is 16.
fn valid_device_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() < 16
        && name != "."
        && name != ".."
        && !name.bytes().any(|byte| byte == b'/' || byte == b':' || byte.is_ascii_whitespace() || byte == 0)
}
