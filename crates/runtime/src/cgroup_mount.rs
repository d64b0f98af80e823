//! Cgroup mounts, as the ones that they come to on this host.
//!
//! libcontainer decides by the host's own mounts and fails on a hybrid one; here they become mounts
//! that it makes without looking: cgroup2 by its own name, or binds of the container's directories.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use oci_spec::runtime::Mount;
use rootling_cgroup::Cgroup;
use rootling_config::namespaces::NamespaceSet;

use crate::error::{Error, Result};
use crate::lower::{Action, CgroupMount, Fixup, Lowered, attr, lowered_options, new_mount};

/// Where every distribution mounts cgroups.
const MOUNT: &str = "/sys/fs/cgroup";

/// Puts the cgroup mounts of the spec into the lowered one.
pub(crate) fn place(lowered: &mut Lowered, cgroup: &Cgroup, namespaces: &NamespaceSet) -> Result<()> {
    if lowered.cgroup_mounts.is_empty() {
        return Ok(());
    }
    let spec = Rc::get_mut(&mut lowered.spec).ok_or_else(|| Error::system("the lowered spec is in use"))?;
    let mounts = spec.mounts_mut().get_or_insert_with(Vec::new);
    let unified = statfs(MOUNT).is_ok_and(|s| s.filesystem_type() == CGROUP2_SUPER_MAGIC);
    // From the last on, so that the places of the others stay true.
    for mount in std::mem::take(&mut lowered.cgroup_mounts).into_iter().rev() {
        let new = if unified {
            vec![unified_mount(&mount, cgroup, namespaces)?]
        } else {
            legacy_mounts(&mount, cgroup, &mut lowered.fixups)?
        };
        mounts.splice(mount.at..mount.at, new);
    }
    Ok(())
}

fn unified_mount(mount: &CgroupMount, cgroup: &Cgroup, namespaces: &NamespaceSet) -> Result<Mount> {
    let flags = lowered_options(&mount.options);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    if namespaces.cgroup.is_new() || nix::unistd::geteuid().is_root() {
        return new_mount("cgroup2", "cgroup", &mount.destination, &flags);
    }
    // Without a cgroup namespace of its own, an ordinary user may only show what is mounted already.
    let own = cgroup.paths().remove("").unwrap_or_else(|| MOUNT.to_owned());
    let flags: Vec<&str> = ["rbind"].into_iter().chain(flags).collect();
    new_mount("bind", &own, &mount.destination, &flags)
}

/// One directory for each hierarchy in a tmpfs, as the host has them.
fn legacy_mounts(mount: &CgroupMount, cgroup: &Cgroup, fixups: &mut Vec<Fixup>) -> Result<Vec<Mount>> {
    let flags = lowered_options(&mount.options);
    let flags: Vec<&str> = ["rbind"].into_iter().chain(flags.iter().map(String::as_str)).collect();
    let tmpfs = ["nosuid", "nodev", "noexec", "mode=755"];
    let mut mounts = vec![new_mount("tmpfs", "tmpfs", &mount.destination, &tmpfs)?];
    let mut links = Vec::new();
    for (controller, path) in cgroup.paths().into_iter().filter(|(name, _)| !name.is_empty()) {
        let controller = controller.trim_start_matches("name=").to_owned();
        let Some(hierarchy) = hierarchy_of(Path::new(&path)) else { continue };
        if hierarchy == controller || !links.iter().any(|(_, to)| *to == hierarchy) {
            mounts.push(new_mount("bind", &path, &mount.destination.join(&hierarchy), &flags)?);
        }
        if hierarchy != controller {
            links.push((controller, hierarchy));
        }
    }
    let mut fix = |action| fixups.push(Fixup { destination: mount.destination.clone(), action });
    if !links.is_empty() {
        fix(Action::ControllerLinks(links));
    }
    if mount.options.set & libc::MS_RDONLY != 0 {
        fix(Action::Attributes { set: attr::RDONLY, clear: 0 });
    }
    Ok(mounts)
}

/// The name of the hierarchy that a cgroup directory is in: the first below the mounts.
fn hierarchy_of(path: &Path) -> Option<String> {
    let below: PathBuf = path.strip_prefix(MOUNT).ok()?.to_owned();
    below.iter().next().map(|name| name.to_string_lossy().into_owned())
}
