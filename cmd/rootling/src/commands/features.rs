//! `features`: what this build supports, and what of it works for this caller on this host.
//!
//! runtime-spec, features.md. Its fields say what the build supports on any host, with the exception of id-mapped
//! mounts, which engines request depending on the answer: there the caller counts. What the host supports is in
//! annotations of rootling's own.

use std::collections::HashMap;

use rootling_config::{features, seccomp};
use rootling_rootless::host::{CgroupMode, Host};
use rootling_runtime::Result;

use crate::version;

/// The release of runc whose command line and formats are implemented; one of runc's annotations.
const RUNC: &str = "1.5.0";

pub(crate) fn features(host: &Host) -> Result<()> {
    let mut features = features::of_build();
    features.set_annotations(Some(annotations(host)));
    if let Some(extensions) = features.linux_mut().as_mut().and_then(|l| l.mount_extensions_mut().as_mut())
        && let Some(idmap) = extensions.idmap_mut()
    {
        idmap.set_enabled(Some(may_idmap(host)));
    }
    // Converted to a value, whose members are ordered: annotations are a hash map.
    let value = serde_json::to_value(&features)?;
    crate::terminal::print(&format!("{value:#}\n"))
}

/// Whether the kernel lets the caller id-map a mount of a host file system: mount_setattr(2) requires CAP_SYS_ADMIN
/// where the file system was mounted.
fn may_idmap(host: &Host) -> bool {
    const CAP_SYS_ADMIN: u8 = 21;
    host.kernel_at_least(5, 12) && host.has_capability(CAP_SYS_ADMIN) && !host.in_user_namespace()
}

fn annotations(host: &Host) -> HashMap<String, String> {
    let cgroup = match host.cgroup_mode() {
        CgroupMode::None => "none",
        CgroupMode::V1 => "v1",
        CgroupMode::Hybrid => "hybrid",
        CgroupMode::V2 => "v2",
    };
    let mut all = vec![
        ("org.opencontainers.runc.version", RUNC.to_owned()),
        ("org.opencontainers.runc.checkpoint.enabled", true.to_string()),
        ("io.rootling.version", version::VERSION.to_owned()),
        ("io.rootling.host.cgroup", cgroup.to_owned()),
        ("io.rootling.host.systemd", host.runs_systemd().to_string()),
        ("io.rootling.host.apparmor", host.has_apparmor().to_string()),
        ("io.rootling.host.selinux", host.has_selinux().to_string()),
        ("io.rootling.host.intelRdt", host.has_rdt().to_string()),
    ];
    all.extend(version::COMMIT.map(|commit| ("io.rootling.commit", commit.to_owned())));
    all.extend(seccomp::library_version().map(|v| ("io.github.seccomp.libseccomp.version", v)));
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
