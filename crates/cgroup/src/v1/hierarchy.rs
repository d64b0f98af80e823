//! Finds the directories of a cgroup in the hierarchies that the host has mounted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, statfs};
use rootling_sys::mountinfo::mounts;

use crate::path::{Own, below};

/// Directories by controller, as in runc's state: `name=systemd` for that hierarchy, and the empty string for the
/// cgroup2 tree of a hybrid host.
pub(crate) type Paths = BTreeMap<String, PathBuf>;

/// The controllers and the named hierarchies that a container joins.
const CONTROLLERS: [&str; 15] = [
    "cpuset",
    "devices",
    "memory",
    "cpu",
    "cpuacct",
    "pids",
    "blkio",
    "hugetlb",
    "net_cls",
    "net_prio",
    "perf_event",
    "freezer",
    "rdma",
    "misc",
    "name=systemd",
];

/// The key of the cgroup2 tree on a hybrid host.
pub(crate) const HYBRID: &str = "";

/// Locates the cgroup `path` in every hierarchy mounted below `root`.
///
/// An absolute `path` is relative to each mount; a relative one starts at the caller's own cgroup in the
/// hierarchy.
pub(crate) fn locate(root: &Path, own: &Own, path: &Path) -> Paths {
    // Read only if a mount is not at the usual place.
    let mut table: Option<String> = None;
    let read = || std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut paths = Paths::new();
    for name in CONTROLLERS {
        let Some(own) = own.controller(name) else { continue };
        let base = usual_mount(root, name)
            .and_then(|mount| if path.is_absolute() { Some(mount) } else { own_dir(&mount, own) })
            .or_else(|| from_mountinfo(table.get_or_insert_with(read), name, path, own));
        if let Some(base) = base {
            paths.insert(name.to_owned(), below(&base, path));
        }
    }
    let unified = root.join("unified");
    if has_magic(&unified, CGROUP2_SUPER_MAGIC) {
        paths.insert(HYBRID.to_owned(), below(&unified, path));
    }
    paths
}

fn has_magic(path: &Path, magic: nix::sys::statfs::FsType) -> bool {
    statfs(path).is_ok_and(|s| s.filesystem_type() == magic)
}

/// `root/NAME`, where NAME may be a link to a mount of several controllers, such as `cpu,cpuacct`.
fn usual_mount(root: &Path, name: &str) -> Option<PathBuf> {
    let mount = root.join(name.trim_start_matches("name="));
    if !has_magic(&mount, CGROUP_SUPER_MAGIC) {
        return None;
    }
    match std::fs::read_link(&mount) {
        Ok(target) => Some(root.join(target.file_name()?)),
        Err(_) => Some(mount),
    }
}

/// The caller's own cgroup below `mount`; `None` in a container that sees only its own part of the hierarchy.
fn own_dir(mount: &Path, own: &Path) -> Option<PathBuf> {
    Some(below(mount, own)).filter(|dir| dir.is_dir())
}

fn from_mountinfo(table: &str, name: &str, path: &Path, own: &Path) -> Option<PathBuf> {
    let mount = mounts(table).find(|mount| mount.kind == "cgroup" && mount.has_option(name))?;
    if path.is_absolute() {
        return Some(mount.point.into_owned());
    }
    // Only the part of the hierarchy below the mount's root is visible here.
    let relative = own.strip_prefix(&mount.root).unwrap_or(Path::new(""));
    Some(mount.point.join(relative))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_sees_its_part_of_a_hierarchy_at_the_mount() {
        let table = "30 25 0:26 /docker/x /m/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n";
        let find = |path: &str, own: &str| from_mountinfo(table, "cpu", Path::new(path), Path::new(own));
        assert_eq!(find("web", "/docker/x"), Some("/m/cpu,cpuacct".into()));
        assert_eq!(find("web", "/docker/x/y"), Some("/m/cpu,cpuacct/y".into()));
        assert_eq!(find("/web", "/docker/x/y"), Some("/m/cpu,cpuacct".into()));
        assert_eq!(from_mountinfo(table, "cpuset", Path::new("web"), Path::new("/")), None);
    }
}
