//! Cgroup mounts, which can be prepared once the container's cgroup is known.

use std::path::{Path, PathBuf};

use rootling_cgroup::{Cgroup, is_unified};
use rootling_init::blueprint::{Hierarchies, MountKind, MountPlan};
use rootling_sys::mount::MS_RDONLY;

use crate::mounts::CGROUPS;
use crate::plan::Plan;

/// The host uid that is to own the container's cgroup; runtime-spec, config-linux.md, "Cgroup ownership". Only a
/// container that has a cgroup namespace of its own and a writable cgroup mount gets its cgroup.
pub(crate) fn owner(plan: &Plan) -> Option<u32> {
    let blueprint = &plan.blueprint;
    let writable = |mount: &MountPlan| {
        let v1 = || mount.kind == MountKind::CgroupV1 && mount.is_at(CGROUPS);
        (mount.is_new("cgroup2", CGROUPS) || v1()) && mount.options.set & MS_RDONLY == 0
    };
    if blueprint.rootless || !blueprint.namespaces.cgroup.is_new() || !blueprint.mounts.iter().any(writable) {
        return None;
    }
    blueprint.maps.as_ref()?.uid().iter().find_map(|map| {
        let offset =
            blueprint.process.uid.checked_sub(map.container_id()).filter(|offset| *offset < map.size())?;
        map.host_id().checked_add(offset)
    })
}

/// The directory of each hierarchy that a cgroup v1 mount shows; `None` on v2, which has only one.
pub(crate) fn of_the_host(cgroup: &Cgroup) -> Option<Vec<(String, PathBuf)>> {
    (!is_unified()).then(|| hierarchies(cgroup).directories)
}

/// What the container's cgroup v1 mounts are to show.
pub(crate) fn shown(plan: &Plan, cgroup: &Cgroup) -> Hierarchies {
    let asked = plan.blueprint.mounts.iter().any(|mount| mount.kind == MountKind::CgroupV1);
    if asked { hierarchies(cgroup) } else { Hierarchies::default() }
}

/// The container's hierarchies, as they are mounted on the host.
fn hierarchies(cgroup: &Cgroup) -> Hierarchies {
    let mut directories: Vec<(String, PathBuf)> = Vec::new();
    let mut links = Vec::new();
    let mut paths = cgroup.paths();
    if paths.is_empty() {
        // Without a cgroup of its own the container stays in the caller's. If that is unknown, the mount is made
        // nevertheless: it is empty and covers the host's.
        paths = rootling_cgroup::own_v1_paths().unwrap_or_default();
    }
    for (controller, path) in paths.into_iter().filter(|(name, _)| !name.is_empty()) {
        let controller = controller.trim_start_matches("name=").to_owned();
        let path = PathBuf::from(path);
        let Some(name) = hierarchy_of(&path) else { continue };
        if !directories.iter().any(|(known, _)| *known == name) {
            directories.push((name.clone(), path));
        }
        if name != controller {
            links.push((controller, name));
        }
    }
    Hierarchies { directories, links }
}

/// The name of the hierarchy that a cgroup directory belongs to: the first path component below the mounts.
fn hierarchy_of(path: &Path) -> Option<String> {
    let below = path.strip_prefix(CGROUPS).ok()?;
    below.iter().next().map(|name| name.to_string_lossy().into_owned())
}
