//! External mounts: those of the host's file systems, of which CRIU saves a name only. On restore it binds
//! what it is told for each name; criu.org, "External bind mounts".

use std::collections::{HashMap, HashSet};
use std::fs::Permissions;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use pathrs::{InodeType, Root};
use rootling_cgroup::Cgroup;

use crate::error::{Context, Error, Result, chain};
use crate::plan::Plan;
use rootling_init::blueprint::{MountKind, MountPlan};
use rust_criu::rust_criu_protobuf::rpc::Ext_mount_map;

/// What covers a file: on every host the same.
const NULL: &str = "/dev/null";
/// Devices that may be bound from the host; runtime-spec, config-linux.md "Default Devices".
const DEVICES: [&str; 6] = [NULL, "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// A line of mountinfo; proc_pid_mountinfo(5).
#[derive(Debug, PartialEq, Eq)]
struct Line {
    device: String,
    root: PathBuf,
    point: PathBuf,
    kind: String,
}

/// The names of the external mounts of a process's mount namespace, by where they are.
pub(crate) fn external(pid: i32) -> Result<Vec<(String, String)>> {
    let own = lines("/proc/self/mountinfo")?;
    let inside = lines(&format!("/proc/{pid}/mountinfo"))?;
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/cgroup")).ok();
    let own_cgroups = namespace("self") != namespace(&pid.to_string());
    let found = external_of(&own, &inside, own_cgroups);
    let null = |point: &Path| {
        let path = format!("/proc/{pid}/root{}", point.display());
        let is_null =
            |m: std::fs::Metadata| m.file_type().is_char_device() && m.rdev() == libc::makedev(1, 3);
        std::fs::symlink_metadata(path).is_ok_and(is_null)
    };
    let name = |point: PathBuf| {
        let name = if null(&point) { NULL.to_owned() } else { point.to_string_lossy().into_owned() };
        (point.to_string_lossy().into_owned(), name)
    };
    Ok(found.into_iter().map(name).collect())
}

fn external_of(own: &[Line], inside: &[Line], own_cgroups: bool) -> Vec<PathBuf> {
    let devices: HashSet<&str> = own.iter().map(|line| line.device.as_str()).collect();
    let root = inside.iter().rfind(|line| line.point == Path::new("/"));
    let v1 = inside.iter().any(|line| line.kind == "cgroup");
    let is_external = |line: &&Line| match line.kind.as_str() {
        // CRIU makes those anew, in the namespaces of the container.
        "proc" | "sysfs" | "mqueue" | "devpts" => false,
        // v2 alone as well, also without a cgroup namespace, which `--manage-cgroups-mode ignore` restores none of.
        "cgroup2" if !v1 => false,
        "cgroup" | "cgroup2" => !own_cgroups,
        _ if line.point == Path::new("/") || !devices.contains(line.device.as_str()) => false,
        // A part of the root file system, bound over another or over itself.
        _ => !root.is_some_and(|root| root.device == line.device && line.root.starts_with(&root.root)),
    };
    inside.iter().filter(is_external).map(|line| line.point.clone()).collect()
}

/// An external mount as CRIU is told of it. It makes `mnt[KEY]:VALUE` of that and finds a key by its beginning, so that a
/// key with an end of its own in it would be another's, or have another value. Keys are paths that an image can lead
/// elsewhere; on restore they are what the values were.
pub(crate) fn ext_mount(key: String, value: String) -> Result<Ext_mount_map> {
    if key.contains([']', ':']) || key.contains(char::is_control) {
        return Err(Error::invalid(format!(
            "mount point {key:?}: CRIU cannot tell it from others with ']', ':' or a control character in it; mount at \
             another path"
        )));
    }
    let mut map = Ext_mount_map::new();
    map.set_key(key);
    map.set_val(value);
    Ok(map)
}

/// What is to be bound for each name.
pub(crate) fn sources(plan: &Plan, cgroup: &Cgroup) -> Result<Vec<(String, String)>> {
    let mut mounts = plan.blueprint.mounts.clone();
    crate::cgroup_mount::place(&mut mounts, cgroup, &plan.blueprint.namespaces, plan.blueprint.rootless);
    let root = open(&plan.blueprint.rootfs)?;
    let own = lines("/proc/self/mountinfo")?;
    let mut all: HashMap<PathBuf, PathBuf> = DEVICES.iter().map(|d| (d.into(), d.into())).collect();
    for device in &plan.blueprint.devices {
        all.insert(device.path().clone(), device.path().clone());
    }
    for mount in &mounts {
        let point = resolved(&root, &mount.destination);
        match &mount.kind {
            MountKind::Bind(source) => {
                // What is mounted below comes along with a recursive bind, as an external mount of its own.
                for line in &own {
                    if let Ok(below) = line.point.strip_prefix(source)
                        && !below.as_os_str().is_empty()
                    {
                        all.insert(point.join(below), line.point.clone());
                    }
                }
                all.insert(point, source.clone());
            }
            MountKind::CgroupV1 { hierarchies, .. } => {
                all.extend(hierarchies.iter().map(|(name, path)| (point.join(name), path.clone())));
            }
            MountKind::New { .. } | MountKind::Remount | MountKind::Cgroup => {}
        }
    }
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    Ok(all.into_iter().map(|(name, source)| (text(name), text(source))).collect())
}

/// Makes the mount points that the root file system lacks, as `create` would. CRIU makes none.
pub(crate) fn make_mountpoints(plan: &Plan) -> Result<()> {
    let mut trees: Vec<(&Path, Option<&Path>)> = vec![(Path::new("/"), Some(&plan.blueprint.rootfs))];
    for mount in &plan.blueprint.mounts {
        // The last mount that it lies below decides where it is to be made.
        let (top, tree) = trees
            .iter()
            .rev()
            .find(|(top, _)| mount.destination.starts_with(top))
            .copied()
            .unwrap_or(trees[0]);
        if let Some(tree) = tree {
            let below = mount.destination.strip_prefix(top).unwrap_or(&mount.destination);
            make_mountpoint(&open(tree)?, below, mount)
                .map_err(|e| e.wrap(format!("mount point {}", mount.destination.display())))?;
        }
        trees.push(match &mount.kind {
            MountKind::Bind(source) => (&mount.destination, Some(source)),
            // CRIU brings the contents of those.
            _ => (&mount.destination, None),
        });
    }
    Ok(())
}

fn make_mountpoint(root: &Root, path: &Path, mount: &MountPlan) -> Result<()> {
    if path.as_os_str().is_empty() || root.resolve(path).is_ok() {
        return Ok(());
    }
    let fail = |e: pathrs::error::Error| Error::system(chain(&e));
    let directory = match &mount.kind {
        MountKind::Bind(source) => {
            std::fs::metadata(source).context(|| format!("source {source:?}"))?.is_dir()
        }
        _ => true,
    };
    if directory {
        return root.mkdir_all(path, &Permissions::from_mode(0o755)).map(drop).map_err(fail);
    }
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        root.mkdir_all(parent, &Permissions::from_mode(0o755)).map_err(fail)?;
    }
    root.create(path, &InodeType::File(Permissions::from_mode(0o755))).map_err(fail)
}

fn open(tree: &Path) -> Result<Root> {
    Root::open(tree).map_err(|e| Error::system(chain(&e)).wrap(format!("{tree:?}")))
}

/// Where a path of the container leads to, links in its root file system followed.
fn resolved(root: &Root, path: &Path) -> PathBuf {
    let real = |path: &Path| {
        let handle = root.resolve(path).ok()?;
        std::fs::read_link(format!("/proc/self/fd/{}", handle.as_fd().as_raw_fd())).ok()
    };
    let found = real(Path::new("/")).zip(real(path));
    let inside = found.and_then(|(top, found)| found.strip_prefix(top).map(|p| Path::new("/").join(p)).ok());
    inside.unwrap_or_else(|| path.to_owned())
}

fn lines(path: &str) -> Result<Vec<Line>> {
    let text = std::fs::read_to_string(path).context(|| path.to_owned())?;
    Ok(text.lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<Line> {
    let (before, after) = line.split_once(" - ")?;
    let fields: Vec<&str> = before.split(' ').collect();
    let path = |index: usize| fields.get(index).map(|text| unescaped(text));
    let kind = after.split(' ').next()?.to_owned();
    Some(Line { device: (*fields.get(2)?).to_owned(), root: path(3)?, point: path(4)?, kind })
}

/// Blanks and backslashes are written in octal.
fn unescaped(text: &str) -> PathBuf {
    let mut out = text.to_owned();
    for (code, plain) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        out = out.replace(code, plain);
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Line> {
        text.lines().filter_map(parse).collect()
    }

    const HOST: &str = "22 1 8:1 / / rw - ext4 /dev/vda rw
23 22 0:5 / /dev rw - devtmpfs udev rw
24 22 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";

    #[test]
    fn what_the_host_has_is_external_and_what_the_container_made_is_not() {
        let inside = all("50 40 8:1 /b/rootfs / rw - ext4 /dev/vda rw
51 50 0:44 / /proc rw - proc proc rw
52 50 0:45 / /dev rw - tmpfs tmpfs rw
53 52 0:5 /null /dev/null rw - devtmpfs udev rw
54 50 8:1 /srv/a\\040b /data rw - ext4 /dev/vda rw
55 50 8:1 /b/rootfs/etc /etc ro - ext4 /dev/vda rw
56 50 0:30 /c /sys/fs/cgroup rw - cgroup2 cgroup2 rw");
        let found = external_of(&all(HOST), &inside, true);
        assert_eq!(found, [PathBuf::from("/dev/null"), PathBuf::from("/data")]);
        assert_eq!(external_of(&all(HOST), &inside, false), found);
    }

    #[test]
    fn hierarchies_of_v1_are_external_unless_they_begin_at_the_containers_cgroup() {
        let inside = all("50 40 8:1 /b/rootfs / rw - ext4 /dev/vda rw
56 50 0:31 /c /sys/fs/cgroup/pids rw - cgroup cgroup rw
57 50 0:30 /c /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw");
        assert!(external_of(&all(HOST), &inside, true).is_empty());
        let found = external_of(&all(HOST), &inside, false);
        assert_eq!(found, ["/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified"].map(PathBuf::from));
    }

    #[test]
    fn blanks_in_paths_are_read() {
        let line = parse("54 50 8:1 /srv/a\\040b /d rw shared:1 master:2 - ext4 /dev/vda rw").unwrap();
        assert_eq!((line.root.as_path(), line.kind.as_str()), (Path::new("/srv/a b"), "ext4"));
    }
}
