//! The cgroup that the process goes into: the container's, or one below it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use rootling_cgroup::Cgroup;

use crate::error::{Error, Result, of_cgroup};
use crate::store::{Held, Slot};
use rootling_sys as sys;

/// The cgroups that the process is to join.
pub(super) struct Target<'a> {
    slot: &'a Slot,
    cgroup: Cgroup,
    /// One directory for each hierarchy.
    dirs: Vec<PathBuf>,
    /// Whether `--cgroup` names them: then no other cgroup will do.
    named: bool,
    init: i32,
    /// Whether the container is paused, and what enters its cgroup with it.
    paused: bool,
}

impl<'a> Target<'a> {
    /// Parses `--cgroup`; `init` is the pid of the container's first process, and `paused` whether it is paused.
    pub(super) fn new(
        slot: &'a Slot,
        cgroup: &Cgroup,
        wanted: &[String],
        init: i32,
        paused: bool,
    ) -> Result<Self> {
        let mut paths = cgroup.paths();
        if paths.is_empty() && !wanted.is_empty() {
            return Err(Error::invalid("--cgroup: this container has no cgroup of its own; leave it out"));
        }
        for (controller, path) in parse(wanted)? {
            let unknown = || {
                let known: Vec<&str> = paths.keys().map(String::as_str).filter(|k| !k.is_empty()).collect();
                let remedy = if known.is_empty() { "give a path alone".into() } else { known.join(", ") };
                Error::invalid(format!(
                    "--cgroup: unknown controller {controller}; of this container: {remedy}"
                ))
            };
            if controller.is_empty() {
                paths.values_mut().try_for_each(|dir| enter(dir, &path))?;
            } else {
                let dir = paths.get(&controller).ok_or_else(unknown)?.clone();
                // Controllers that are mounted together share a directory.
                for shared in paths.values_mut().filter(|d| **d == dir) {
                    enter(shared, &path)?;
                }
            }
        }
        let mut dirs: Vec<PathBuf> = paths.into_values().map(PathBuf::from).collect();
        dirs.sort_unstable();
        dirs.dedup();
        Ok(Self { slot, cgroup: cgroup.clone(), dirs, named: !wanted.is_empty(), init, paused })
    }

    /// Whether what enters the cgroup does not run before the container is resumed.
    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Keeps the container from being removed while the process is put into its cgroup: the next container of the same
    /// name would have a cgroup with the same path.
    pub(super) fn hold(&self) -> Result<Held<'a>> {
        self.slot.hold()
    }

    /// The directories to try for clone3's `CLONE_INTO_CGROUP`, best first.
    pub(super) fn clone_into(&self) -> impl Iterator<Item = OwnedFd> {
        // One directory means cgroup v2; several mean v1, which has no CLONE_INTO_CGROUP.
        let first = match self.dirs.as_slice() {
            [dir] => {
                let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                nix::fcntl::open(dir, flags, Mode::empty()).map(sys::fds::adopt).ok()
            }
            _ => None,
        };
        // The first process may have moved on, so that its first cgroup now has controllers enabled or is removed. That
        // cgroup then takes no processes, but the one that the first process is in now does.
        let then = move || if self.named { None } else { self.cgroup.clone_into_that_of(self.init) };
        first.into_iter().chain(std::iter::once_with(then).flatten())
    }

    /// Whether a process has to stay the caller's own until it is in the cgroup: an ordinary user, and therefore
    /// systemd on his behalf, may not move any other (cgroups(7), org.freedesktop.systemd1(5)).
    pub(super) fn needs_own_process(&self) -> bool {
        !self.dirs.is_empty() && self.cgroup.is_rootless()
    }

    /// Moves the process into the cgroup if it could not be cloned into it.
    pub(super) fn attach(&self, pid: i32) -> Result<()> {
        let _held = self.hold()?;
        self.cgroup
            .join(pid, &self.dirs, (!self.named).then_some(self.init))
            .map_err(|e| of_cgroup(e).wrap(format!("adding pid {pid} to cgroups")))
    }
}

/// Parses controllers with their paths; an empty name stands for all controllers. Errors use runc's wording.
pub(crate) fn parse(wanted: &[String]) -> Result<BTreeMap<String, String>> {
    let invalid =
        |text: &str, why: &str| Error::invalid(format!("invalid --cgroup argument: {text} ({why})"));
    let mut paths = BTreeMap::new();
    for text in wanted {
        let Some((controllers, path)) = text.split_once(':') else {
            if wanted.len() != 1 {
                return Err(invalid(text, "missing <controller>: prefix"));
            }
            paths.insert(String::new(), text.clone());
            continue;
        };
        for controller in controllers.split(',') {
            if controller.is_empty() {
                return Err(invalid(text, "empty <controller> prefix"));
            }
            if paths.insert(controller.to_owned(), path.to_owned()).is_some() {
                let why = format!("controller {controller} specified multiple times");
                return Err(invalid(text, &why));
            }
        }
    }
    Ok(paths)
}

/// Changes `dir` to a cgroup below it.
fn enter(dir: &mut String, path: &str) -> Result<()> {
    let mut inner = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => inner.push(name),
            Component::ParentDir if !inner.pop() => {
                return Err(Error::invalid(format!(
                    "--cgroup: bad sub cgroup path: {path} leads out of the container's cgroup"
                )));
            }
            _ => {}
        }
    }
    if !inner.as_os_str().is_empty() {
        *dir = Path::new(&dir).join(inner).to_string_lossy().into_owned();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_the_containers_cgroup() {
        for (path, wanted) in
            [("/", "/c"), ("a", "/c/a"), ("/a/b/", "/c/a/b"), ("a/../b", "/c/b"), ("", "/c")]
        {
            let mut dir = "/c".to_owned();
            enter(&mut dir, path).unwrap();
            assert_eq!(dir, wanted, "{path:?}");
        }
        for path in ["..", "a/../..", "/../c"] {
            let error = enter(&mut "/c".to_owned(), path).unwrap_err().to_string();
            assert!(error.contains("bad sub cgroup path"), "{error}");
        }
    }

    #[test]
    fn controllers_are_named_once_or_not_at_all() {
        let all = |list: &[&str]| parse(&list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        assert_eq!(all(&["x"]).unwrap().get("").map(String::as_str), Some("x"));
        let named = all(&["memory:a", "cpu,cpuacct:b"]).unwrap();
        assert_eq!(named.get("cpuacct").map(String::as_str), Some("b"));
        for wrong in [&["a", "b"][..], &[":a"], &["cpu:a", "cpu:b"], &["cpu,:a"]] {
            assert!(all(wrong).unwrap_err().to_string().contains("invalid --cgroup argument"), "{wrong:?}");
        }
    }
}
