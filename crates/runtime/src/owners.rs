//! Files of the root file system that belong to ids which the container does not have, because the file system was
//! unpacked by root or with other ranges. Inside the container all of them belong to nobody; only out here their owners
//! can be seen.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::Metadata;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{OFlag, ResolveFlag, open, readlinkat};
use nix::sys::stat::{Mode, SFlag};
use rootling_config::idmap::{IdKind, IdMaps, to_host};
use rootling_config::remedies::{OTHER_PLACE, let_pass};
use rootling_rootless::host::Host;
use rootling_sys as sys;
use rootling_sys::mount::openat2;

use crate::error::{Error, ErrorKind};

/// Mode bits for one class of users.
const SEARCH: u32 = 0o1;
const CHANGE: u32 = 0o3;
const READ: u32 = 0o4;

/// As many links as the kernel follows in one path; path_resolution(7).
const MAX_LINKS: usize = 40;

/// A root file system, and the ids of the container that uses it.
#[derive(Debug)]
pub(crate) struct Owners {
    rootfs: PathBuf,
    maps: IdMaps,
}

/// A directory on the way to a path, or the path itself.
#[derive(Debug)]
struct Step {
    path: PathBuf,
    found: Owner,
    /// The access that the container's root needs there.
    access: u32,
    /// How many components of the path remain.
    levels: usize,
    /// The path that is to be reached, as the container sees it.
    to: PathBuf,
}

#[derive(Clone, Copy, Debug)]
struct Owner {
    uid: u32,
    gid: u32,
    mode: u32,
}

impl Owner {
    fn is_directory(self) -> bool {
        sys::file::kind(self.mode) == SFlag::S_IFDIR
    }

    fn of(found: &Metadata) -> Self {
        Self { uid: found.uid(), gid: found.gid(), mode: found.mode() }
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "belongs to {}:{} (mode {:04o})", self.uid, self.gid, self.mode & 0o7777)
    }
}

/// Describes a directory that does not let the caller pass on its way to `path`: whom it belongs to, how far above
/// `path` it is, and who can open it.
pub(crate) fn closed_to_caller(closed: &Path, path: &Path, host: &Host) -> String {
    let levels = path.components().count().saturating_sub(closed.components().count());
    let place = format!("{closed:?}{}", above(levels, "it"));
    match std::fs::metadata(closed) {
        Ok(found) if found.uid() != host.euid() => format!(
            "{place} {} and does not let the caller pass: {}",
            Owner::of(&found),
            let_pass(false, OTHER_PLACE)
        ),
        _ => format!("{place} does not let the caller pass: run `chmod +x` on it"),
    }
}

fn above(levels: usize, what: &str) -> String {
    match levels {
        0 => String::new(),
        1 => format!(", 1 level above {what},"),
        more => format!(", {more} levels above {what},"),
    }
}

impl Owners {
    /// `None` if the container uses the ids of the caller's user namespace.
    pub(crate) fn of(rootfs: &Path, maps: Option<&IdMaps>) -> Option<Self> {
        Some(Self { rootfs: rootfs.to_owned(), maps: maps?.clone() })
    }

    /// What follows if the container does not have the owner of the root directory. There is no warning if it cannot
    /// even search the directory: that is an error.
    pub(crate) fn warning(&self, found: &Metadata, host: &Host) -> Option<String> {
        let owner = Owner::of(found);
        let missing = self.missing(owner)?;
        (!self.refuses(owner, SEARCH)).then(|| {
            let rootfs = &self.rootfs;
            format!(
                "root.path: {rootfs:?} {owner}, {missing} that the container does not have: files of it are nobody's \
                 inside, and root there may not change them; {}",
                self.remedy(owner, host)
            )
        })
    }

    /// Adds to the error who owns the directory that caused it, if the container does not have that owner's id.
    pub(crate) fn explain(&self, error: Error, host: &Host) -> Error {
        let Some(place) = error.place() else { return error };
        let mut way = self.way_to(place);
        let is_program = error.kind() == ErrorKind::ProgramNotExecutable;
        if let Some(step) = way.last_mut().filter(|step| step.levels == 0 && !step.found.is_directory()) {
            // A file that nobody may execute is not a question of its owner.
            let nobody = step.found.mode & 0o111 == 0;
            step.access = match (is_program, nobody) {
                (false, _) => READ,
                (true, true) => 0,
                (true, false) => SEARCH,
            };
        }
        let Some(step) = way.iter().find(|step| self.refuses(step.found, step.access)) else { return error };
        let Some(missing) = self.missing(step.found) else { return error };
        let remedy = match step.path.starts_with(&self.rootfs) {
            true => self.remedy(step.found, host),
            false if step.found.uid == host.euid() => {
                let_pass(true, &format!("map the caller to 0, {OTHER_PLACE}"))
            }
            false => let_pass(false, OTHER_PLACE),
        };
        let place = format!("{:?}{}", step.path, above(step.levels, &format!("{:?}", step.to)));
        error.remedy(format!(
            "on this host {place} {}, {missing} that the container does not have: {remedy}",
            step.found
        ))
    }

    fn maps(&self, kind: IdKind) -> &[oci_spec::runtime::LinuxIdMapping] {
        match kind {
            IdKind::User => self.maps.uid(),
            IdKind::Group => self.maps.gid(),
        }
    }

    fn has(&self, kind: IdKind, id: u32) -> bool {
        let within = |start: u32, size: u32| id.checked_sub(start).is_some_and(|offset| offset < size);
        self.maps(kind).iter().any(|row| within(row.host_id(), row.size()))
    }

    /// Names those of the owner's ids that the container does not have.
    fn missing(&self, owner: Owner) -> Option<&'static str> {
        match (self.has(IdKind::User, owner.uid), self.has(IdKind::Group, owner.gid)) {
            (true, true) => None,
            (false, false) => Some("ids"),
            (false, true) => Some("a user"),
            (true, false) => Some("a group"),
        }
    }

    /// Whether the container's root lacks this access: it is root only over files whose ids it has; user_namespaces(7).
    fn refuses(&self, owner: Owner, access: u32) -> bool {
        if self.missing(owner).is_none() {
            return false;
        }
        let granted = if to_host(self.maps.uid(), 0) == Some(owner.uid) {
            owner.mode >> 6
        } else if to_host(self.maps.gid(), 0) == Some(owner.gid) {
            owner.mode >> 3
        } else {
            owner.mode
        };
        granted & access != access
    }

    /// How the container's root can get at what belongs to this owner.
    fn remedy(&self, owner: Owner, host: &Host) -> String {
        let (kind, id, own) = if self.has(IdKind::User, owner.uid) {
            (IdKind::Group, owner.gid, host.egid())
        } else {
            (IdKind::User, owner.uid, host.euid())
        };
        let ranges = host.sub_ids(kind, host.account()).ranges;
        if host.is_ordinary_user() && id == own {
            return "that is the caller: map it as 0".into();
        }
        if host.is_ordinary_user()
            && ranges.iter().any(|range| (range.start..range.start.saturating_add(range.count)).contains(&id))
        {
            return "they are of the caller's ranges: map these, as `rootling spec --userns auto` does"
                .into();
        }
        let ids = [self.maps.uid(), self.maps.gid()].map(|maps| to_host(maps, 0).unwrap_or_default());
        let [uid, gid] = ids;
        let command = format!("`chown -R {uid}:{gid} {:?}`", self.rootfs);
        if host.is_ordinary_user() {
            format!("as root run {command}, or unpack the image again as this user")
        } else {
            format!("run {command}")
        }
    }

    /// The directories on the way to a path of the container, as far as the caller can see them. Those above the root
    /// file system matter only for the root directory itself: what is below it is reached by descriptor.
    fn way_to(&self, place: &Path) -> Vec<Step> {
        let mut above: Vec<&Path> = self.rootfs.ancestors().skip(1).collect();
        if place != Path::new("/") {
            above.clear();
        }
        let mut way: Vec<Step> = Vec::new();
        for (levels, path) in above.iter().enumerate().rev() {
            if let Ok(found) = std::fs::metadata(path) {
                let (path, found, to) = (path.to_path_buf(), Owner::of(&found), self.rootfs.clone());
                way.push(Step { path, found, access: SEARCH, levels: levels + 1, to });
            }
        }
        self.inside(place, &mut way);
        way
    }

    /// The part of the way inside the root file system, where links are followed as the container follows them.
    fn inside(&self, place: &Path, way: &mut Vec<Step>) -> Option<()> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = open(&self.rootfs, flags, Mode::empty()).map(sys::fds::adopt).ok()?;
        let mut left: VecDeque<OsString> = names(place).collect();
        let mut at: Vec<(PathBuf, OwnedFd)> = vec![(PathBuf::from("/"), root)];
        let mut links = 0;
        loop {
            let (inside, fd) = at.last()?;
            let found = stat(fd)?;
            let to = left.iter().fold(inside.clone(), |path, name| path.join(name));
            let path = self.rootfs.join(inside.strip_prefix("/").unwrap_or(inside));
            let path = path.components().collect();
            way.push(Step { path, found, access: SEARCH, levels: left.len(), to });
            let name = left.pop_front()?;
            if name == ".." {
                at.truncate(at.len().max(2) - 1);
                continue;
            }
            if let Ok(target) = readlinkat(Some(fd.as_raw_fd()), name.as_os_str()) {
                links += 1;
                let is_absolute = Path::new(&target).is_absolute();
                // The same directory comes again, unless the way goes on at the root.
                if !is_absolute || at.len() == 1 {
                    way.pop();
                }
                if is_absolute {
                    at.truncate(1);
                }
                let through: Vec<_> = names(Path::new(&target)).collect();
                through.into_iter().rev().for_each(|name| left.push_front(name));
                if links > MAX_LINKS {
                    return None;
                }
                continue;
            }
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
            match openat2(fd.as_fd(), Path::new(&name), flags, ResolveFlag::RESOLVE_BENEATH) {
                Ok(next) => at.push((inside.join(&name), next)),
                Err(errno) => {
                    // The missing name is to be created there.
                    if errno == nix::errno::Errno::ENOENT {
                        way.last_mut()?.access = CHANGE;
                    }
                    return None;
                }
            }
        }
    }
}

fn stat(fd: &OwnedFd) -> Option<Owner> {
    let found = nix::sys::stat::fstat(fd.as_raw_fd()).ok()?;
    Some(Owner { uid: found.st_uid, gid: found.st_gid, mode: found.st_mode })
}

fn names(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rootling_config::idmap::mapping;
    use rootling_rootless::host::Fixture;

    fn owners() -> Owners {
        let map = vec![mapping(0, 1000, 1), mapping(1, 100_000, 10)];
        Owners { rootfs: "/bundle/rootfs".into(), maps: IdMaps::new(map.clone(), map).unwrap() }
    }

    fn owner(uid: u32, gid: u32, mode: u32) -> Owner {
        Owner { uid, gid, mode }
    }

    #[test]
    fn root_of_the_container_has_its_rights_only_over_ids_that_it_has() {
        for (found, access, refused) in [
            (owner(1000, 1000, 0o000), CHANGE, false),
            (owner(100_009, 1000, 0o000), CHANGE, false),
            (owner(100_010, 1000, 0o707), SEARCH, true),
            (owner(0, 0, 0o755), SEARCH, false),
            (owner(0, 0, 0o755), CHANGE, true),
            (owner(0, 0, 0o750), SEARCH, true),
            // Its own file, of a group that the container does not have.
            (owner(1000, 0, 0o700), CHANGE, false),
            (owner(1000, 0, 0o077), SEARCH, true),
        ] {
            assert_eq!(owners().refuses(found, access), refused, "{found}, {access:o}");
        }
    }

    #[test]
    fn each_directory_on_a_way_is_looked_at_before_an_absolute_link_too() {
        let root = tempfile::tempdir().unwrap();
        let rootfs = root.path().join("rootfs");
        std::fs::create_dir_all(rootfs.join("links")).unwrap();
        std::fs::create_dir_all(rootfs.join("target/of")).unwrap();
        std::os::unix::fs::symlink("/target", rootfs.join("links/absolute")).unwrap();
        std::os::unix::fs::symlink("links", rootfs.join("relative")).unwrap();
        let owners = Owners { rootfs: rootfs.clone(), maps: owners().maps };
        let mut way = Vec::new();
        owners.inside(Path::new("/relative/absolute/of"), &mut way);
        let found: Vec<_> =
            way.iter().map(|step| step.path.strip_prefix(&rootfs).unwrap().to_owned()).collect();
        assert_eq!(found, ["", "links", "", "target", "target/of"].map(PathBuf::from));
    }

    #[test]
    fn remedy_depends_on_whose_the_ids_are() {
        let ranges = |host: Fixture| {
            Host::on(
                host.file("/etc/passwd", "alice:x:1000:1000::/:/bin/sh\n")
                    .file("/etc/subuid", "alice:100000:65536\n"),
            )
        };
        let user = ranges(Fixture::ordinary(1000));
        let root = Host::on(Fixture::ordinary(0));
        let command = "run `chown -R 1000:1000 \"/bundle/rootfs\"`";
        for (found, host, said) in [
            (owner(0, 0, 0), &user, command),
            (owner(0, 0, 0), &user, "unpack the image again"),
            (owner(0, 0, 0), &root, command),
            (owner(100_010, 0, 0), &user, "--userns auto"),
            (owner(165_536, 0, 0), &user, command),
        ] {
            let text = owners().remedy(found, host);
            assert!(text.contains(said), "{found}: {text}");
            assert_eq!(text.contains("as root"), text.contains("chown") && host.is_ordinary_user(), "{text}");
        }
    }
}
