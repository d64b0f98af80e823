//! An ordinary user can set limits only with cgroup controllers that were delegated to it; cgroups(7),
//! systemd.resource-control(5).

use std::collections::BTreeMap;
use std::path::Path;

use oci_spec::runtime::{LinuxResources, Spec};
use rootling_config::CgroupManager;
use rootling_config::limits::{self, Limits, Version};
use rootling_config::remedies::{CONTROLLERS_FROM_OUTSIDE, WRITABLE_CGROUPS};

use crate::distribution::Distribution;
use crate::host::{CgroupMode, Delegation, Host};
use crate::pass::{AdaptError, DEVICES_STAY_OPEN, Pass};

/// Controllers that systemd can delegate to a user.
const SYSTEMD_CONTROLLERS: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

pub(crate) fn run(pass: &mut Pass<'_>) -> Result<(), AdaptError> {
    drop_what_takes_root(pass)?;
    if !asks_for_a_cgroup(pass.spec) {
        return Ok(());
    }
    let asked = asked(pass)?;
    let path = pass.spec.linux().as_ref().and_then(|linux| linux.cgroups_path().clone());
    match delegation(pass, path.as_deref()) {
        Some(delegation) => keep_delegated(pass, &delegation, &asked),
        None => drop_all(pass, &asked),
    }
}

/// Drops what requires root: device rules are a program in the kernel and network classes exist only in version 1;
/// neither can be delegated.
fn drop_what_takes_root(pass: &mut Pass<'_>) -> Result<(), AdaptError> {
    let Some(resources) = resources_mut(pass.spec) else { return Ok(()) };
    let devices = resources.devices_mut().take().filter(|rules| !rules.is_empty());
    let network = resources.network_mut().take();
    drop_if_empty(pass.spec);
    if let Some(rules) = devices {
        let denies = rules.iter().any(|rule| !rule.allow());
        if denies && pass.options.strict {
            return Err(AdaptError::DeviceRules);
        }
        let what = "linux.resources.devices: dropped";
        if denies { pass.warn(what, DEVICES_STAY_OPEN) } else { pass.note(what, DEVICES_STAY_OPEN) }
    }
    if network.is_some() {
        pass.warn(
            "linux.resources.network: dropped",
            "network classes and priorities take rights over the host",
        );
    }
    Ok(())
}

fn resources_mut(spec: &mut Spec) -> Option<&mut LinuxResources> {
    spec.linux_mut().as_mut()?.resources_mut().as_mut()
}

fn drop_if_empty(spec: &mut Spec) {
    if let Some(linux) = spec.linux_mut()
        && linux.resources().as_ref().is_some_and(|left| *left == LinuxResources::default())
    {
        linux.set_resources(None);
    }
}

fn asks_for_a_cgroup(spec: &Spec) -> bool {
    spec.linux().as_ref().is_some_and(|linux| linux.resources().is_some() || linux.cgroups_path().is_some())
}

/// For each controller, the first limit that needs it.
type Asked = BTreeMap<String, String>;

/// The kernel never sees a limit that is left out, so what no kernel accepts is refused here.
fn asked(pass: &Pass<'_>) -> Result<Asked, AdaptError> {
    let Some(resources) = pass.spec.linux().as_ref().and_then(|linux| linux.resources().as_ref()) else {
        return Ok(Asked::new());
    };
    let version = if pass.host.cgroup_mode() == CgroupMode::V2 { Version::V2 } else { Version::V1 };
    let mut asked = Asked::new();
    for ask in Limits::parse(resources)?.asks(version) {
        asked.entry(ask.controller).or_insert(ask.limit);
    }
    Ok(asked)
}

/// The controllers that the container's cgroup may use. An absolute path must be below a cgroup that the caller may
/// write to, wherever the caller itself is. If only systemd could delegate something, it remains an error that
/// systemd was not asked for, unless limits may be ignored.
fn delegation(pass: &Pass<'_>, path: Option<&Path>) -> Option<Delegation> {
    let (host, path) = (pass.host, path.filter(|path| path.is_absolute()));
    match (pass.options.cgroup_manager, path) {
        (CgroupManager::Cgroupfs, Some(path)) => host.delegation_at(path),
        (CgroupManager::Cgroupfs, None) if pass.options.ignore_cgroup_limits => {
            host.own_delegation().cloned()
        }
        (CgroupManager::Cgroupfs, None) => {
            host.own_delegation().or_else(|| host.systemd_delegation()).cloned()
        }
        (CgroupManager::Systemd, _) => host.systemd_delegation().cloned(),
        (CgroupManager::Disabled, _) => None,
    }
}

/// Handles the case that some controllers are delegated: settings for the others are dropped, with a warning for
/// each limit.
fn keep_delegated(pass: &mut Pass<'_>, delegation: &Delegation, asked: &Asked) -> Result<(), AdaptError> {
    let Some(resources) = resources_mut(pass.spec) else { return Ok(()) };
    let mut lost = limits::controllers(resources);
    lost.retain(|name| !delegation.controllers.contains(name));
    for name in &lost {
        limits::clear(resources, name);
    }
    drop_if_empty(pass.spec);
    let why = |name: &str| format!("the cgroup controller {name} is not delegated to this user");
    for name in lost {
        match asked.get(&name) {
            None => pass.note(format!("linux.resources: dropped the limits of {name}"), why(&name)),
            Some(limits) if pass.options.strict => {
                return Err(AdaptError::CgroupLimits {
                    limits: limits.clone(),
                    why: why(&name),
                    remedy: remedy(pass.host, &[&name]),
                });
            }
            Some(limit) => {
                let why = format!("{}: {}", why(&name), remedy(pass.host, &[&name]));
                pass.warn(format!("{limit}: dropped"), why);
            }
        }
    }
    Ok(())
}

/// Handles the case that no cgroup can be made at all.
fn drop_all(pass: &mut Pass<'_>, asked: &Asked) -> Result<(), AdaptError> {
    let disabled = pass.options.cgroup_manager == CgroupManager::Disabled;
    // In runc's words, in addition to ours.
    let why = if disabled {
        "cgroups are disabled by the caller"
    } else {
        "no cgroup is delegated to this user (rootless needs no limits + no cgrouppath when no permission is \
         granted for cgroups)"
    };
    if !asked.is_empty() {
        let names: Vec<&str> = asked.keys().map(String::as_str).collect();
        let remedy = match pass.options.cgroup_manager {
            CgroupManager::Disabled => "choose another cgroup manager".into(),
            CgroupManager::Cgroupfs if pass.host.systemd_delegation().is_some() => {
                "have the user's systemd make one with --systemd-cgroup".into()
            }
            _ => remedy(pass.host, &names),
        };
        let all: Vec<_> =
            asked.iter().map(|(name, limit)| format!("{limit} (cgroup controller {name})")).collect();
        let limits = all.join(", ");
        if !pass.options.ignore_cgroup_limits {
            return Err(AdaptError::CgroupLimits { limits, why: why.into(), remedy });
        }
        pass.warn(format!("{limits}: not enforced"), format!("{why}: {remedy}"));
    }
    let ignore = pass.options.ignore_cgroup_limits;
    if let Some(linux) = pass.spec.linux_mut() {
        let had_resources = linux.resources_mut().take().is_some();
        // Without --ignore-cgroup-limits the path is kept: that it cannot be made is an error then.
        let path = if disabled || ignore { linux.cgroups_path_mut().take() } else { None };
        if had_resources && asked.is_empty() {
            pass.note("linux.resources: dropped", why);
        }
        if let Some(path) = path.filter(|path| !path.as_os_str().is_empty()) {
            let what = format!("linux.cgroupsPath: {}: dropped", path.display());
            if disabled { pass.note(what, why) } else { pass.warn(what, why) }
        }
    }
    Ok(())
}

/// How to get the controllers delegated.
fn remedy(host: &Host, names: &[&str]) -> String {
    if host.cgroups_read_only() {
        return format!("cgroups are mounted read-only here: {WRITABLE_CGROUPS}");
    }
    let family = Distribution::of(host).family;
    if host.cgroup_mode() != CgroupMode::V2 {
        return family.cgroup_2();
    }
    if !host.is_ordinary_user() {
        CONTROLLERS_FROM_OUTSIDE.into()
    } else if names.iter().any(|name| SYSTEMD_CONTROLLERS.contains(name)) {
        family.delegate()
    } else {
        "systemd cannot delegate it: run as root".into()
    }
}
