//! The ways in which an account can get a cgroup with limits on this machine, and the contents of its files.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::{Bundle, Cmd, Output, Test, Who, skip};

/// Where cgroups are mounted.
pub const MOUNT: &str = "/sys/fs/cgroup";

/// Whether only cgroup v2 is mounted.
pub fn is_unified() -> bool {
    Path::new(MOUNT).join("cgroup.controllers").exists()
}

/// The device number of the disk that `path` is on. Skips, with the reason, if it is not on one that can be
/// throttled.
pub fn disk_of(path: &Path) -> Option<(u64, u64)> {
    let device = path.metadata().expect("stat of what is on the disk").dev();
    let (major, minor) = (nix::sys::stat::major(device), nix::sys::stat::minor(device));
    let node = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
    if major == 0 || node.join("partition").exists() || !node.join("queue").exists() {
        skip(&format!("the bundle is on device {major}:{minor}, which is no disk to be throttled"));
        return None;
    }
    Some((major, minor))
}

/// How a container gets its cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is made by path, as root.
    Path,
    /// It is made by path, below a scope that systemd has delegated to the user.
    Delegated,
    /// It is made by the systemd of the machine or of the user.
    Systemd,
}

impl Way {
    /// The ways that are available to the account here. Skips, with the reason, if there is none.
    pub fn all(t: &Test) -> Vec<Self> {
        let booted = Path::new("/run/systemd/system").is_dir();
        let ways = match t.who() {
            Who::Root if booted && is_unified() => vec![Self::Path, Self::Systemd],
            Who::Root => vec![Self::Path],
            Who::User => {
                let bus = t.account().runtime_dir.as_ref().is_some_and(|dir| dir.join("bus").exists());
                if booted && is_unified() && bus { vec![Self::Delegated, Self::Systemd] } else { Vec::new() }
            }
        };
        if ways.is_empty() {
            skip("the user has no session of a systemd with cgroup v2, so no cgroup to limit");
        }
        ways
    }

    /// Whether the controller, given by its v2 name, is available in this way. Skips, with the reason, if not.
    pub fn has(self, t: &Test, controller: &str) -> bool {
        let uid = t.account().uid;
        let dir = match self {
            Self::Path => Path::new(MOUNT).to_owned(),
            Self::Systemd if t.who() == Who::Root => Path::new(MOUNT).join("system.slice"),
            Self::Delegated | Self::Systemd => {
                Path::new(MOUNT).join(format!("user.slice/user-{uid}.slice/user@{uid}.service"))
            }
        };
        let there = if is_unified() {
            let text = fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
            text.split_whitespace().any(|name| name == controller)
        } else {
            dir.join(if controller == "io" { "blkio" } else { controller }).is_dir()
        };
        if !there {
            skip(&format!("no cgroup controller {controller} for {self:?} of {:?} here", t.who()));
        }
        there
    }

    /// `rootling ARGS...` set up so that its containers get their cgroups only in this way: without
    /// [`Test::flags`].
    pub fn rootling<S: AsRef<OsStr>>(self, t: &Test, args: &[S]) -> Cmd {
        match self {
            Self::Path => t.rootling_without_flags(args),
            Self::Delegated => t.rootling_without_flags(args).under(&[
                "systemd-run",
                "--user",
                "--scope",
                "--quiet",
                "--collect",
                "-p",
                "Delegate=yes",
                "--",
            ]),
            Self::Systemd => t.rootling_without_flags(&["--systemd-cgroup"]).args(args),
        }
    }

    /// Starts the bundle in the background as the container `c`; returns its cgroup.
    pub fn start(self, t: &Test, bundle: &Bundle) -> Cgroup {
        self.rootling(t, &["run", "-d", "-b"]).arg(bundle.write().dir()).arg(t.id("c")).output().ok();
        Cgroup::of(&t.state("c")["pid"].to_string())
    }

    /// Runs the bundle to its end.
    pub fn run(self, t: &Test, bundle: &Bundle) -> Output {
        self.rootling(t, &["run", "-b"]).arg(bundle.write().dir()).arg(t.id("c")).output()
    }
}

/// The cgroups of a process.
#[derive(Clone, Debug)]
pub struct Cgroup(Vec<(String, PathBuf)>);

impl Cgroup {
    /// The cgroups that the process `pid` is in now.
    pub fn of(pid: &str) -> Self {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("cgroups of the process");
        let line = |line: &str| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (names, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
            let base = match names {
                "" if is_unified() => Path::new(MOUNT).to_owned(),
                // The kernel has this hierarchy, but it is not mounted.
                _ if is_unified() => return None,
                "" => Path::new(MOUNT).join("unified"),
                names => Path::new(MOUNT).join(names.trim_start_matches("name=")),
            };
            Some((names.to_owned(), base.join(path)))
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// The directory for a controller, given by its v2 name.
    pub fn dir(&self, controller: &str) -> &Path {
        let v1 = if controller == "io" { "blkio" } else { controller };
        let named = self.0.iter().find(|(names, _)| names.split(',').any(|name| name == v1));
        let found = named.or_else(|| self.0.iter().find(|(names, _)| names.is_empty()));
        &found.expect("a cgroup of the process").1
    }

    /// The contents of a file of a controller: the first name is for v1, the second for v2.
    pub fn read(&self, controller: &str, v1: &str, v2: &str) -> String {
        let path = self.dir(controller).join(if is_unified() { v2 } else { v1 });
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        text.trim().to_owned()
    }

    /// One directory for each hierarchy.
    pub fn dirs(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|(_, dir)| dir.as_path())
    }

    /// Whether any of them still exists.
    pub fn exists(&self) -> bool {
        self.0.iter().any(|(_, dir)| dir.exists())
    }
}
