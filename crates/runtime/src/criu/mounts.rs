//! External mounts: mounts of host file systems, for which CRIU saves only a name. On restore it bind-mounts what it is
//! told for each name; criu.org, "External bind mounts".

use std::collections::{HashMap, HashSet};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use pathrs::{InodeType, Root};
use rootling_cgroup::Cgroup;
use rootling_sys::mount::MS_RDONLY;
use rust_criu::rust_criu_protobuf::rpc::Ext_mount_map;

use crate::cgroup_mount;
use crate::error::{Context, Error, Result, chain};
use crate::exec_state::Outside;
use crate::mounts::CGROUPS;
use crate::plan::Plan;
use rootling_init::blueprint::{MountKind, MountPlan};
use rootling_sys::mountinfo::{Mount, mounts};

/// Devices that may be bind-mounted from the host, the first also to mask a file; runtime-spec, config-linux.md,
/// "Default Devices".
const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// A mount from outside the container: the name that CRIU knows it by, and the source of the bind mount. The name is
/// the destination as config.json has it: no link in the image or in the container can influence which source goes with
/// which name (CVE-2026-119101).
type Named = (String, PathBuf);

/// The external mounts in a process's mount namespace: the mount point and the name of each.
pub(crate) fn external(pid: i32, outside: &[Outside], cgroup: &Cgroup) -> Result<Vec<(String, String)>> {
    let (own, inside) = (read("/proc/self/mountinfo")?, read(&format!("/proc/{pid}/mountinfo"))?);
    let (own, inside): (Vec<_>, Vec<_>) = (mounts(&own).collect(), mounts(&inside).collect());
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/cgroup")).ok();
    let own_cgroups = namespace("self") != namespace(&pid.to_string());
    let named = names_of(&own, &external_of(&own, &inside, own_cgroups), &sources(outside, cgroup)?)?;
    named.iter().try_for_each(|(_, name)| check_key(name))?;
    Ok(named)
}

/// Finds the name of each mount by what it shows, which the kernel reports and the container cannot change. If several
/// names have the same source, the one that equals the mount point wins.
fn names_of(own: &[Mount<'_>], found: &[&Mount<'_>], sources: &[Named]) -> Result<Vec<(String, String)>> {
    let mut names: HashMap<(&str, PathBuf), Vec<&str>> = HashMap::new();
    let tops: Tops = own.iter().map(|line| (&*line.point, line)).collect();
    for (name, source) in sources {
        if let Some(shown) = shown_by(&tops, source) {
            names.entry(shown).or_default().push(name);
        }
    }
    let name = |line: &&Mount<'_>| {
        let point = line.point.to_string_lossy().into_owned();
        let deleted = line.root.to_string_lossy();
        let root = PathBuf::from(deleted.strip_suffix("//deleted").unwrap_or(&deleted));
        let all = names.get(&(line.device, root.clone())).map(Vec::as_slice).unwrap_or_default();
        let by_place = || all.iter().find(|name| **name == point);
        let part = || names.keys().any(|(device, top)| *device == line.device && root.starts_with(top));
        match by_place().or(all.first()) {
            Some(name) => Some(Ok((point, (*name).to_owned()))),
            // A bind mount that the container made itself; CRIU makes it again.
            None if part() => None,
            None => Some(Err(Error::invalid(format!(
                "mount on {point:?}: it is a mount of the host, and not what any mount of config.json is bound from, so \
                 nothing could be bound there on restore: unmount it first"
            )))),
        }
    };
    found.iter().filter_map(name).collect()
}

/// The uppermost mount at each mount point.
type Tops<'a> = HashMap<&'a Path, &'a Mount<'a>>;

/// The device that a host path is on, and its path within that device.
fn shown_by<'a>(own: &Tops<'a>, path: &Path) -> Option<(&'a str, PathBuf)> {
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    // Of several mounts at the deepest mount point, the last one covers the others.
    let line = path.ancestors().find_map(|point| own.get(point))?;
    let below = path.strip_prefix(&line.point).ok()?;
    let root = if below.as_os_str().is_empty() { line.root.to_path_buf() } else { line.root.join(below) };
    Some((line.device, root))
}

fn external_of<'a>(own: &[Mount<'_>], inside: &'a [Mount<'_>], own_cgroups: bool) -> Vec<&'a Mount<'a>> {
    let devices: HashSet<&str> = own.iter().map(|line| line.device).collect();
    let root = inside.iter().rfind(|line| line.point == Path::new("/"));
    let v1 = inside.iter().any(|line| line.kind == "cgroup");
    let is_external = |line: &&Mount<'_>| match line.kind {
        // CRIU mounts these anew, in the container's namespaces.
        "proc" | "sysfs" | "mqueue" | "devpts" => false,
        // With v2 alone, even without a cgroup namespace: `--manage-cgroups-mode ignore` restores none of these mounts.
        "cgroup2" if !v1 => false,
        "cgroup" | "cgroup2" => !own_cgroups,
        _ if line.point == Path::new("/") || !devices.contains(line.device) => false,
        // A part of the root file system, bind-mounted elsewhere or onto itself.
        _ => !root.is_some_and(|root| root.device == line.device && line.root.starts_with(&root.root)),
    };
    inside.iter().filter(is_external).collect()
}

/// An external mount in CRIU's terms. CRIU turns it into `mnt[KEY]:VALUE` and matches a key by its beginning, so a key
/// that contains its own terminator would match another mount's key or get another value. On checkpoint the keys are
/// paths that an image can redirect; on restore they are what were values on checkpoint.
pub(crate) fn ext_mount(key: String, value: String) -> Result<Ext_mount_map> {
    check_key(&key)?;
    let mut map = Ext_mount_map::new();
    map.set_key(key);
    map.set_val(value);
    Ok(map)
}

fn check_key(key: &str) -> Result<()> {
    if key.contains([']', ':']) || key.contains(char::is_control) {
        return Err(Error::invalid(format!(
            "mount point {key:?}: CRIU cannot tell it from others with ']', ':' or a control character in it; mount at \
             another path"
        )));
    }
    Ok(())
}

/// The source to bind-mount for each name.
pub(crate) fn sources(outside: &[Outside], cgroup: &Cgroup) -> Result<Vec<Named>> {
    let own = read("/proc/self/mountinfo")?;
    let mut all: Vec<Named> = DEVICES.iter().map(|device| ((*device).to_owned(), device.into())).collect();
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    for mount in outside {
        let at = |below: &Path| text(mount.destination.join(below));
        let Some(source) = &mount.source else {
            match cgroup_mount::of_the_host(cgroup) {
                Some(hierarchies) => {
                    all.extend(hierarchies.into_iter().map(|(name, path)| (at(Path::new(&name)), path)));
                }
                None => all.push((text(mount.destination.clone()), CGROUPS.into())),
            }
            continue;
        };
        all.push((text(mount.destination.clone()), source.clone()));
        // A recursive bind brings along what is mounted below the source, each as an external mount of its own.
        for line in mounts(&own) {
            if let Ok(below) = line.point.strip_prefix(source)
                && !below.as_os_str().is_empty()
            {
                all.push((at(below), line.point.to_path_buf()));
            }
        }
    }
    Ok(all)
}

/// Makes the mount points that the root file system lacks, as `create` would; CRIU makes none.
pub(crate) fn make_mountpoints(plan: &Plan) -> Result<()> {
    let mut trees: Vec<(&Path, Option<&Path>)> = vec![(Path::new("/"), Some(&plan.blueprint.rootfs))];
    let readonly = |mount: &MountPlan| mount.options.set & MS_RDONLY != 0;
    for mount in &plan.blueprint.mounts {
        // The last mount that the destination lies below decides where the mount point is made.
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
            // Nothing read-only is changed, not even through its source. A directory made in cgroupfs would be a
            // cgroup.
            MountKind::Bind(source) if !readonly(mount) && source != Path::new(CGROUPS) => {
                (&mount.destination, Some(source))
            }
            // CRIU restores the contents of all other mounts.
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

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).context(|| path.to_owned())
}

/// The mount points of the external mounts in a mountinfo, given the mountinfo of the host.
#[cfg(feature = "fuzzing")]
pub(crate) fn mounts_of(host: &str, inside: &str, own_cgroups: bool) -> Vec<PathBuf> {
    let all = |text| mounts(text).collect::<Vec<_>>();
    let (host, inside) = (all(host), all(inside));
    external_of(&host, &inside, own_cgroups).into_iter().map(|line| line.point.to_path_buf()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Mount<'_>> {
        mounts(text).collect()
    }

    fn points<'a>(lines: &[&'a Mount<'_>]) -> Vec<&'a str> {
        lines.iter().filter_map(|line| line.point.to_str()).collect()
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
        let host = all(HOST);
        let found = external_of(&host, &inside, true);
        assert_eq!(points(&found), ["/dev/null", "/data"]);
        assert_eq!(external_of(&host, &inside, false), found);
    }

    #[test]
    fn hierarchies_of_v1_are_external_unless_they_begin_at_the_containers_cgroup() {
        let inside = all("50 40 8:1 /b/rootfs / rw - ext4 /dev/vda rw
56 50 0:31 /c /sys/fs/cgroup/pids rw - cgroup cgroup rw
57 50 0:30 /c /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw");
        let host = all(HOST);
        assert!(external_of(&host, &inside, true).is_empty());
        let found = external_of(&host, &inside, false);
        assert_eq!(points(&found), ["/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified"]);
    }

    /// The names that these mounts of a container get, with their mount points.
    fn named(inside: &str, sources: &[(&str, &str)]) -> Result<Vec<(String, String)>> {
        let sources: Vec<Named> = sources.iter().map(|(n, s)| ((*n).to_owned(), (*s).into())).collect();
        let inside = format!("50 40 8:1 /b/rootfs / rw - ext4 /dev/vda rw\n{inside}");
        let inside = all(&inside);
        let host = all(HOST);
        names_of(&host, &external_of(&host, &inside, true), &sources)
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(point, name)| ((*point).to_owned(), (*name).to_owned())).collect()
    }

    /// config.json has /a/f and /b/f; the image has the links /a -> /p and /b -> /q.
    #[test]
    fn what_a_mount_shows_names_it_and_no_link_does() {
        let sources = [("/a/f", "/nowhere/secret"), ("/b/f", "/nowhere/open")];
        let inside = "53 50 8:1 /nowhere/secret /p/f ro - ext4 /dev/vda rw
54 50 8:1 /nowhere/open//deleted /q/f rw - ext4 /dev/vda rw";
        assert_eq!(named(inside, &sources).unwrap(), pairs(&[("/p/f", "/a/f"), ("/q/f", "/b/f")]));
        // The container has moved each mount to where the other was.
        let inside = "53 50 8:1 /nowhere/secret /b/f ro - ext4 /dev/vda rw
54 50 8:1 /nowhere/open /a/f rw - ext4 /dev/vda rw";
        assert_eq!(named(inside, &sources).unwrap(), pairs(&[("/b/f", "/a/f"), ("/a/f", "/b/f")]));
    }

    #[test]
    fn of_two_with_one_source_the_place_decides() {
        let sources = [("/a", "/nowhere/data"), ("/b", "/nowhere/data")];
        let inside = "53 50 8:1 /nowhere/data /b ro - ext4 /dev/vda rw
54 50 8:1 /nowhere/data /a rw - ext4 /dev/vda rw";
        assert_eq!(named(inside, &sources).unwrap(), pairs(&[("/b", "/b"), ("/a", "/a")]));
    }

    #[test]
    fn part_of_a_source_is_the_containers_own_bind_and_anything_else_an_error() {
        let sources = [("/a", "/nowhere/data"), ("/b", "/nowhere/secret")];
        let inside = "53 50 8:1 /nowhere/data /a rw - ext4 /dev/vda rw
54 50 8:1 /nowhere/data/sub /b rw - ext4 /dev/vda rw";
        assert_eq!(named(inside, &sources).unwrap(), pairs(&[("/a", "/a")]));
        let error = named("54 50 8:1 /nowhere/other /b rw - ext4 /dev/vda rw", &sources).unwrap_err();
        assert!(error.to_string().starts_with("mount on \"/b\": it is a mount of the host"), "{error}");
    }

    /// With this key CRIU would find `mnt[/etc/hosts]:...` when it looks for /etc/hosts.
    #[test]
    fn key_with_an_end_of_its_own_is_refused() {
        for key in ["/etc/hosts]:/image/evil", "/a]", "/a:b", "/a\nb"] {
            let error = ext_mount(key.to_owned(), "/srv".to_owned()).unwrap_err().to_string();
            assert!(error.contains("CRIU cannot tell it from others"), "{error}");
        }
        assert_eq!(ext_mount("/a".into(), "/srv:x]".into()).unwrap().val(), "/srv:x]");
    }
}
