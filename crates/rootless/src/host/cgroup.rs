//! How cgroups are set up, and which part of them the caller may write to; cgroups(7).

use std::path::{Path, PathBuf};

use super::{Access, Machine};

/// The layout under /sys/fs/cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupMode {
    /// Nothing is mounted.
    None,
    /// Version 1 hierarchies only.
    V1,
    /// Version 1 hierarchies for the controllers, version 2 beside them for systemd.
    Hybrid,
    /// One version 2 hierarchy.
    V2,
}

/// A cgroup subtree that the caller may write to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// The directory at its top.
    pub path: PathBuf,
    /// The controllers that can be used below it, by their version 2 names.
    pub controllers: Vec<String>,
    /// Whether it belongs to the systemd user manager, so that processes get there only through a scope.
    pub by_systemd: bool,
}

pub(super) const ROOT: &str = "/sys/fs/cgroup";
/// `CGROUP2_SUPER_MAGIC`, linux/magic.h
const CGROUP2_MAGIC: u64 = 0x6367_7270;
/// `TMPFS_MAGIC`, linux/magic.h
const TMPFS_MAGIC: u64 = 0x0102_1994;

pub(super) fn mode(machine: &dyn Machine) -> CgroupMode {
    let magic = |path: &str| machine.statfs(Path::new(path)).map(|fs| fs.magic);
    match magic(ROOT) {
        Ok(CGROUP2_MAGIC) => CgroupMode::V2,
        Ok(TMPFS_MAGIC) => match magic("/sys/fs/cgroup/unified") {
            Ok(CGROUP2_MAGIC) => CgroupMode::Hybrid,
            _ => CgroupMode::V1,
        },
        _ => CgroupMode::None,
    }
}

pub(super) fn own_delegation(machine: &dyn Machine, mode: CgroupMode) -> Option<Delegation> {
    match mode {
        CgroupMode::None => None,
        CgroupMode::V2 => own_v2(machine),
        CgroupMode::V1 | CgroupMode::Hybrid => own_v1(machine),
    }
}

/// The highest directory that can be reached from the caller's own cgroup through directories which the caller may
/// write to: processes can be moved around only below it.
fn own_v2(machine: &dyn Machine) -> Option<Delegation> {
    let text = machine.read(Path::new("/proc/self/cgroup")).ok()?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    let own = below_root("", own)?;
    let top = own
        .ancestors()
        .take_while(|dir| dir.starts_with(ROOT))
        .take_while(|dir| is_writable(machine, dir))
        .last()?
        .to_owned();
    let controllers = controllers_of(machine, &top);
    Some(Delegation { path: top, controllers, by_systemd: false })
}

pub(super) fn systemd_delegation(machine: &dyn Machine, uid: u32) -> Option<Delegation> {
    let path = PathBuf::from(format!("{ROOT}/user.slice/user-{uid}.slice/user@{uid}.service"));
    if !is_writable(machine, &path) {
        return None;
    }
    let controllers = controllers_of(machine, &path);
    Some(Delegation { path, controllers, by_systemd: true })
}

/// The nearest existing cgroup at or above `path`, if the caller may write to it.
pub(super) fn delegation_at(machine: &dyn Machine, mode: CgroupMode, path: &Path) -> Option<Delegation> {
    let text = match mode {
        CgroupMode::None => return None,
        CgroupMode::V2 => String::new(),
        CgroupMode::V1 | CgroupMode::Hybrid => machine.read(Path::new("/proc/self/cgroup")).ok()?,
    };
    let writable = |hierarchy: &str| {
        let dir = below_root(hierarchy, path.to_str()?)?;
        let nearest = dir.ancestors().find(|dir| machine.may(dir, Access::Read))?.to_owned();
        is_writable(machine, &nearest).then_some(nearest)
    };
    if mode == CgroupMode::V2 {
        let path = writable("")?;
        let controllers = controllers_of(machine, &path);
        return Some(Delegation { path, controllers, by_systemd: false });
    }
    by_hierarchy(&text, |names, _| writable(names))
}

/// Each controller has its own hierarchy; only those in which the caller may write to its cgroup are delegated.
fn own_v1(machine: &dyn Machine) -> Option<Delegation> {
    let text = machine.read(Path::new("/proc/self/cgroup")).ok()?;
    by_hierarchy(&text, |names, own| below_root(names, own).filter(|dir| is_writable(machine, dir)))
}

/// Combines what `find` returns for the name of each hierarchy in /proc/self/cgroup and the caller's cgroup in it.
fn by_hierarchy(text: &str, find: impl Fn(&str, &str) -> Option<PathBuf>) -> Option<Delegation> {
    let mut found: Option<Delegation> = None;
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(names), Some(own)) = (fields.next(), fields.next()) else { continue };
        if names.is_empty() || names.starts_with("name=") {
            continue;
        }
        let Some(dir) = find(names, own) else { continue };
        let new = names.split(',').map(|name| if name == "blkio" { "io" } else { name }.to_owned());
        match &mut found {
            Some(delegation) => delegation.controllers.extend(new),
            None => found = Some(Delegation { path: dir, controllers: new.collect(), by_systemd: false }),
        }
    }
    found
}

/// A path with `..` belongs to a cgroup outside the caller's cgroup namespace.
pub(super) fn below_root(hierarchy: &str, own: &str) -> Option<PathBuf> {
    if own.split('/').any(|part| part == "..") {
        return None;
    }
    // An empty component would leave a trailing slash.
    let parts = [hierarchy, own.trim_matches('/')];
    Some(parts.iter().filter(|part| !part.is_empty()).fold(PathBuf::from(ROOT), |dir, part| dir.join(part)))
}

/// Making cgroups requires write access to the directory, and filling them to cgroup.procs. systemd delegates both.
fn is_writable(machine: &dyn Machine, dir: &Path) -> bool {
    machine.may(&dir.join("cgroup.procs"), Access::Write) && machine.may(dir, Access::Write)
}

fn controllers_of(machine: &dyn Machine, dir: &Path) -> Vec<String> {
    let text = machine.read(&dir.join("cgroup.controllers")).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Fixture, Host};
    use super::*;

    #[test]
    fn mode_is_told_by_the_file_systems() {
        for (name, machine, wanted) in [
            ("v2", Fixture::ordinary(1).fs("/sys/fs/cgroup", CGROUP2_MAGIC), CgroupMode::V2),
            ("v1", Fixture::ordinary(1).fs("/sys/fs/cgroup", TMPFS_MAGIC), CgroupMode::V1),
            (
                "hybrid",
                Fixture::ordinary(1)
                    .fs("/sys/fs/cgroup", TMPFS_MAGIC)
                    .fs("/sys/fs/cgroup/unified", CGROUP2_MAGIC),
                CgroupMode::Hybrid,
            ),
            ("none", Fixture::ordinary(1), CgroupMode::None),
        ] {
            assert_eq!(Host::on(machine).cgroup_mode(), wanted, "{name}");
        }
    }

    #[test]
    fn delegation_reaches_up_to_the_last_writable_cgroup() {
        let service = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service";
        let app = format!("{service}/app.slice");
        let run = format!("{app}/run-1.scope");
        let host = Host::on(
            Fixture::ordinary(1000)
                .fs("/sys/fs/cgroup", CGROUP2_MAGIC)
                .file(
                    "/proc/self/cgroup",
                    "0::/user.slice/user-1000.slice/user@1000.service/app.slice/run-1.scope\n",
                )
                .cgroup(&run, "memory pids")
                .cgroup(&app, "memory pids")
                .cgroup(service, "cpu memory pids"),
        );
        let found = host.own_delegation().unwrap();
        assert_eq!(found.path, Path::new(service));
        assert_eq!(found.controllers, ["cpu", "memory", "pids"]);
        assert!(!found.by_systemd);
        assert!(host.systemd_delegation().unwrap().by_systemd);
    }

    #[test]
    fn a_login_session_has_only_what_systemd_gives() {
        let host = Host::on(
            Fixture::ordinary(1000)
                .fs("/sys/fs/cgroup", CGROUP2_MAGIC)
                .file("/proc/self/cgroup", "0::/user.slice/user-1000.slice/session-2.scope\n")
                .cgroup("/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service", "memory pids"),
        );
        assert_eq!(host.own_delegation(), None);
        assert_eq!(host.systemd_delegation().unwrap().controllers, ["memory", "pids"]);
    }

    #[test]
    fn a_cgroup_outside_of_the_namespace_is_not_ours() {
        let host = Host::on(
            Fixture::ordinary(1000)
                .fs("/sys/fs/cgroup", CGROUP2_MAGIC)
                .file("/proc/self/cgroup", "0::/../../etc\n")
                .cgroup("/sys/fs/cgroup", "memory"),
        );
        assert_eq!(host.own_delegation(), None);
    }

    #[test]
    fn root_of_a_cgroup_namespace_can_be_delegated() {
        let host = Host::on(
            Fixture::ordinary(1000)
                .fs("/sys/fs/cgroup", CGROUP2_MAGIC)
                .file("/proc/self/cgroup", "0::/\n")
                .cgroup("/sys/fs/cgroup", "memory"),
        );
        assert_eq!(host.own_delegation().unwrap().path, Path::new("/sys/fs/cgroup"));
    }

    #[test]
    fn a_path_is_delegated_by_what_there_is_of_it() {
        let machine = Fixture::ordinary(1000)
            .fs("/sys/fs/cgroup", CGROUP2_MAGIC)
            .file("/proc/self/cgroup", "0::/\n")
            .file("/sys/fs/cgroup", "")
            .cgroup("/sys/fs/cgroup/mine", "memory pids");
        let host = Host::on(machine);
        let found = host.delegation_at(Path::new("/mine/a/b")).unwrap();
        assert_eq!((found.path.as_path(), found.controllers.len()), (Path::new("/sys/fs/cgroup/mine"), 2));
        assert_eq!(host.delegation_at(Path::new("/other/a")), None);
        assert_eq!(host.delegation_at(Path::new("/mine/../other")), None);
        let host = Host::on(
            Fixture::ordinary(1000)
                .fs("/sys/fs/cgroup", TMPFS_MAGIC)
                .file("/proc/self/cgroup", "4:memory:/\n2:blkio:/\n0::/\n")
                .cgroup("/sys/fs/cgroup/memory/mine", ""),
        );
        assert_eq!(host.delegation_at(Path::new("/mine/a")).unwrap().controllers, ["memory"]);
    }

    #[test]
    fn version_1_is_delegated_by_controller() {
        let host = Host::on(
            Fixture::ordinary(1000)
                .fs("/sys/fs/cgroup", TMPFS_MAGIC)
                .file(
                    "/proc/self/cgroup",
                    "4:memory:/me\n3:cpu,cpuacct:/me\n2:blkio:/me\n1:name=systemd:/me\n0::/\n",
                )
                .cgroup("/sys/fs/cgroup/memory/me", "")
                .cgroup("/sys/fs/cgroup/blkio/me", ""),
        );
        let found = host.own_delegation().unwrap();
        assert_eq!(found.path, Path::new("/sys/fs/cgroup/memory/me"));
        assert_eq!(found.controllers, ["memory", "io"]);
    }
}
