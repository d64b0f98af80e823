//! Cgroup mounts, as the ones that they come to on this host.

use std::path::{Path, PathBuf};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use rootling_cgroup::Cgroup;
use rootling_config::mounts::Bind;
use rootling_config::namespaces::{Namespace, NamespaceSet};

use rootling_init::blueprint::{MountKind, MountPlan};

use crate::plan::Plan;

/// Where every distribution mounts cgroups.
pub(crate) const MOUNT: &str = "/sys/fs/cgroup";

/// Replaces the cgroup mounts of the plan, now that the container's cgroup is known.
pub(crate) fn place(mounts: &mut [MountPlan], cgroup: &Cgroup, namespaces: &NamespaceSet, rootless: bool) {
    // It takes to be root of the user namespace that the cgroup namespace is of.
    let mountable = match &namespaces.cgroup {
        Namespace::New => true,
        Namespace::Path(_) => nix::unistd::geteuid().is_root() || namespaces.user.path().is_some(),
        Namespace::None => !rootless && !namespaces.user.is_set(),
    };
    for mount in mounts.iter_mut().filter(|m| m.kind == MountKind::Cgroup) {
        if !is_unified() {
            mount.kind = legacy(cgroup);
        } else if mountable {
            mount.kind = MountKind::New { kind: "cgroup2".into(), source: "cgroup".into() };
        } else {
            // What the host has mounted can be shown, and that whole: the container's /proc/self/cgroup has paths
            // from there.
            mount.kind = MountKind::Bind(MOUNT.into());
            mount.options.bind = Some(Bind::Recursive);
        }
    }
}

/// The user outside that the container's cgroup is to belong to: runtime-spec, config-linux.md, "Cgroup
/// ownership". One that has a cgroup namespace of its own and may write there gets it.
pub(crate) fn owner(plan: &Plan) -> Option<u32> {
    let writable = |m: &MountPlan| {
        m.kind == MountKind::Cgroup
            && m.destination == Path::new(MOUNT)
            && m.options.set & libc::MS_RDONLY == 0
    };
    let blueprint = &plan.blueprint;
    if blueprint.rootless || !blueprint.namespaces.cgroup.is_new() || !blueprint.mounts.iter().any(writable) {
        return None;
    }
    blueprint.maps.as_ref()?.uid.iter().find_map(|map| {
        let offset =
            blueprint.process.uid.checked_sub(map.container_id()).filter(|offset| *offset < map.size())?;
        map.host_id().checked_add(offset)
    })
}

/// The container's directory of each hierarchy, as the host has them mounted.
/// The directory of each hierarchy that a mount of cgroup v1 shows; none on v2, where it is the one.
pub(crate) fn of_the_host(cgroup: &Cgroup) -> Option<Vec<(String, PathBuf)>> {
    match legacy(cgroup) {
        MountKind::CgroupV1 { hierarchies, .. } if !is_unified() => Some(hierarchies),
        _ => None,
    }
}

fn is_unified() -> bool {
    statfs(MOUNT).is_ok_and(|s| s.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

fn legacy(cgroup: &Cgroup) -> MountKind {
    let mut hierarchies: Vec<(String, PathBuf)> = Vec::new();
    let mut links = Vec::new();
    let mut paths = cgroup.paths();
    if paths.is_empty() {
        // Without a cgroup of its own the container stays in the caller's; where that is unknown the
        // mount is there all the same, empty, and covers the host's.
        paths = rootling_cgroup::own_v1_paths().unwrap_or_default();
    }
    for (controller, path) in paths.into_iter().filter(|(name, _)| !name.is_empty()) {
        let controller = controller.trim_start_matches("name=").to_owned();
        let path = PathBuf::from(path);
        let Some(name) = hierarchy_of(&path) else { continue };
        if !hierarchies.iter().any(|(known, _)| *known == name) {
            hierarchies.push((name.clone(), path));
        }
        if name != controller {
            links.push((controller, name));
        }
    }
    MountKind::CgroupV1 { hierarchies, links }
}

/// The name of the hierarchy that a cgroup directory is in: the first below the mounts.
fn hierarchy_of(path: &Path) -> Option<String> {
    let below = path.strip_prefix(MOUNT).ok()?;
    below.iter().next().map(|name| name.to_string_lossy().into_owned())
}
