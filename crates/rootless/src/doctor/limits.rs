//! Quotas, groups that may use ping, and cgroups.

use std::path::Path;

use rootling_config::remedies::{FREE_PORTS, Family, WRITABLE_CGROUPS, enable_linger};

use super::{Check, Distribution};
use crate::host::{CgroupMode, Host};

/// With fewer free keys than this, a handful of containers uses them up.
const FEW_KEYS: u64 = 16;

pub(super) fn keyring(host: &Host, distribution: &Distribution) -> Option<Check> {
    let (used, most) = host.key_quota()?;
    let check = Check::ok(
        "keyring quota",
        format!("{used} of {most} keys used"),
        "a free key for each container",
        "each container gets a session keyring (or run with --no-new-keyring)",
    );
    let setting = if host.is_ordinary_user() { "kernel.keys.maxkeys" } else { "kernel.keys.root_maxkeys" };
    let fix = distribution.family.sysctl(setting, "2000");
    Some(match most.saturating_sub(used) {
        0 => check.failed(fix),
        free if free < FEW_KEYS => check.warning(fix),
        _ => check,
    })
}

pub(super) fn ping_groups(host: &Host, distribution: &Distribution) -> Check {
    let range = host.ping_group_range();
    let found = range.map_or("not known".into(), |(first, last)| format!("{first} {last}"));
    let check = Check::ok(
        "ping groups",
        found,
        "net.ipv4.ping_group_range has the caller's group",
        "ping works without privilege then, in containers that share this network",
    );
    match range {
        Some((first, last)) if !(first..=last).contains(&host.egid()) => {
            check.warning(distribution.family.sysctl("net.ipv4.ping_group_range", "0 2147483647"))
        }
        _ => check,
    }
}

/// Only relevant with the host's network: a container with its own network may use all ports.
pub(super) fn low_ports(host: &Host) -> Option<Check> {
    let first = host.first_free_port()?;
    Some(Check::ok(
        "low ports",
        if first == 0 { "all are free".into() } else { format!("free from {first} on") },
        "net.ipv4.ip_unprivileged_port_start is the lowest port that programs without privilege may bind",
        &format!("in containers that share this network; as root, `sysctl -w {FREE_PORTS}` frees all"),
    ))
}

pub(super) fn cgroups(host: &Host, distribution: &Distribution, root: bool) -> Check {
    const WANTED: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];
    let check = |found: String| {
        Check::ok(
            "cgroups",
            found,
            if root { "mounted" } else { "version 2, with cpu, cpuset, io, memory and pids delegated" },
            "limits need them; containers without limits run in any case",
        )
    };
    match host.cgroup_mode() {
        CgroupMode::V1 if root => return check("version 1".into()),
        CgroupMode::Hybrid if root => return check("version 1 and 2".into()),
        CgroupMode::None => return check("not mounted".into()).warning(distribution.family.cgroup_2()),
        CgroupMode::V1 => return check("version 1".into()).warning(distribution.family.cgroup_2()),
        CgroupMode::Hybrid => return check("version 1 and 2".into()).warning(distribution.family.cgroup_2()),
        CgroupMode::V2 if root => return check("version 2".into()),
        CgroupMode::V2 => {}
    }
    let Some(delegation) = host.own_delegation().or_else(|| host.systemd_delegation()) else {
        let check = check("version 2, nothing delegated to this user".into());
        if host.cgroups_read_only() {
            return check.warning(format!("cgroups are mounted read-only here: {WRITABLE_CGROUPS}"));
        }
        let uid = host.outer_uid(host.euid());
        let manager = format!("/sys/fs/cgroup/user.slice/user-{uid}.slice/user@{uid}.service");
        // Without a systemd user manager nothing can be delegated.
        if distribution.family != Family::Alpine && host.node(Path::new(&manager)).is_err() {
            return check.warning(format!(
                "{}, which starts the user's systemd; then {}",
                enable_linger(&host.account().label()),
                distribution.family.delegate()
            ));
        }
        return check.warning(distribution.family.delegate());
    };
    let missing: Vec<_> =
        WANTED.into_iter().filter(|name| !delegation.controllers.iter().any(|has| has == name)).collect();
    let how = if delegation.by_systemd { " (with --systemd-cgroup)" } else { "" };
    let found = format!("version 2, delegated: {}{how}", delegation.controllers.join(", "));
    if missing.is_empty() { check(found) } else { check(found).warning(distribution.family.delegate()) }
}
