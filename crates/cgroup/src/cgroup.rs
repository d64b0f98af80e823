//! The common interface to all back ends.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use oci_spec::runtime::LinuxDeviceCgroup;
use rootling_config::limits::{Limits, Version};
use serde::{Deserialize, Serialize};

use rootling_config::CgroupManager;
use rootling_config::remedies::CREATE_DELEGATED;

use crate::path::{Own, below, clean};
use crate::stats::{self, Stats};
use crate::systemd::{Cgroups, Scope};
use crate::v1::Legacy;
use crate::v2::{self, Unified};
use crate::wanted::Wanted;
use crate::{CgroupError, OomWatch, Request, file, procs, remove, v1};

/// Where hosts mount cgroups; systemd, the FHS and runc know no other place.
pub const MOUNT: &str = "/sys/fs/cgroup";

/// Whether this host has only cgroup v2.
pub fn is_unified() -> bool {
    is_unified_at(Path::new(MOUNT))
}

fn is_unified_at(mount: &Path) -> bool {
    statfs(mount).is_ok_and(|s| s.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

const fn version(unified: bool) -> Version {
    if unified { Version::V2 } else { Version::V1 }
}

/// A container's cgroup, or the lack of one.
///
/// It serializes into state.json and keeps all its abilities when it is read back. Dropping it removes nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cgroup {
    backend: Backend,
    /// Whether limits depend on it, so that failing to join it is an error for an ordinary user as well.
    limited: bool,
    rootless: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Backend {
    None,
    V2(Unified),
    V1(Legacy),
    Systemd(Box<Scope>),
}

/// The cgroups themselves, no matter who made them.
enum Place<'a> {
    None,
    V2(&'a Unified),
    V1(&'a Legacy),
}

impl Cgroup {
    /// No cgroup at all: every operation that needs one fails or does nothing.
    pub const fn none() -> Self {
        Self { backend: Backend::None, limited: false, rootless: false }
    }

    /// Chooses the back end for `request` and creates the cgroup, without any process in it.
    /// On cgroup v1, an ordinary user who names no path and asks for no limits gets none, at the cost of one
    /// system call. On v2, the same user pays for finding the own cgroup and for a refused mkdir. With the
    /// systemd driver only names are determined here; the scope is started by [`attach`](Self::attach).
    ///
    /// # Errors
    /// Limits were asked for whose controllers the caller does not have, the cgroup exists and is frozen or
    /// contains processes, or the kernel refuses to create it.
    pub fn prepare(request: &Request) -> Result<Self, CgroupError> {
        Self::prepare_announced(request, &mut |_| ())
    }

    /// Does the same, and announces each cgroup before its first directory is made: whoever stores the announced
    /// value can remove the cgroup even if this process ends in the middle.
    ///
    /// Those of [`prepare`](Self::prepare).
    /// As for [`prepare`](Self::prepare).
    pub fn prepare_announced(
        request: &Request,
        announce: &mut dyn FnMut(&Self),
    ) -> Result<Self, CgroupError> {
        Self::prepare_in(Path::new(MOUNT), request, announce)
    }

    fn prepare_in(
        mount: &Path,
        request: &Request,
        announce: &mut dyn FnMut(&Self),
    ) -> Result<Self, CgroupError> {
        let unified = is_unified_at(mount);
        let wanted = request.limits.map(|limits| Wanted::of(limits, version(unified))).unwrap_or_default();
        if request.manager == CgroupManager::Disabled {
            if !wanted.is_empty() {
                tracing::warn!("cgroups are disabled: limits of {} are ignored", wanted.list());
            }
            tracing::debug!("cgroup: none: cgroups are disabled by the caller");
            return Ok(Self::none());
        }
        let limited = !wanted.is_empty();
        let of = |backend| Self { backend, limited, rootless: request.rootless };
        let backend = if request.manager == CgroupManager::Systemd {
            Some(Backend::Systemd(Box::new(Scope::plan(mount, unified, request, wanted)?)))
        } else if unified {
            let announce = &mut |path: &Path| announce(&of(Backend::V2(Unified { path: path.to_owned() })));
            v2::place::create(mount, request, &wanted, announce)?.map(|path| Backend::V2(Unified { path }))
        } else if request.rootless && !limited && request.path.is_none_or(str::is_empty) {
            None
        } else {
            let announce = &mut |legacy: Legacy| announce(&of(Backend::V1(legacy)));
            v1::place::create(mount, request, &wanted, announce)?.map(Backend::V1)
        };
        let cgroup = of(backend.unwrap_or(Backend::None));
        tracing::debug!("cgroup: {}", cgroup.choice(unified));
        Ok(cgroup)
    }

    /// Which back end was chosen, and why, for the log.
    fn choice(&self, unified: bool) -> String {
        let host = if unified { "cgroup v2 is mounted" } else { "cgroup v2 alone is not mounted" };
        match &self.backend {
            Backend::None => format!("none: {host}, nothing is limited and this user may make none"),
            Backend::V2(c) => format!("{}, by path: {host}", c.path.display()),
            Backend::V1(c) => {
                let main = c.main().unwrap_or(Path::new("")).display();
                format!("{main} and {} more hierarchies of v1: {host}", c.paths.len().saturating_sub(1))
            }
            Backend::Systemd(scope) => format!("{}: systemd was asked for; {host}", scope.describe()),
        }
    }

    /// Uses the annotations `org.systemd.property.*` as properties of the systemd scope and ignores all others;
    /// the other back ends ignore every annotation. Call it before [`attach`](Self::attach).
    ///
    /// A name or a value is malformed.
    /// A malformed name or value.
    pub fn annotate<'a>(
        &mut self,
        annotations: impl IntoIterator<Item = (&'a String, &'a String)>,
    ) -> Result<(), CgroupError> {
        let Backend::Systemd(scope) = &mut self.backend else { return Ok(()) };
        annotations.into_iter().try_for_each(|(key, value)| scope.annotate(key, value))
    }

    /// Whether the container has no cgroup of its own.
    pub const fn is_none(&self) -> bool {
        matches!(self.backend, Backend::None)
    }

    /// Whether an ordinary user has made it, who may move only his own processes.
    pub const fn is_rootless(&self) -> bool {
        self.rootless
    }

    /// Whether the container can do without its cgroup because nothing that was asked for depends on it.
    pub(crate) const fn may_be_left_out(&self) -> bool {
        self.rootless && !self.limited
    }

    fn place(&self) -> Place<'_> {
        match &self.backend {
            Backend::None => Place::None,
            Backend::V2(c) => Place::V2(c),
            Backend::V1(c) => Place::V1(c),
            Backend::Systemd(scope) => match &scope.cgroups {
                None => Place::None,
                Some(Cgroups::V2(c)) => Place::V2(c),
                Some(Cgroups::V1(c)) => Place::V1(c),
            },
        }
    }

    /// The directory for clone3's `CLONE_INTO_CGROUP` (clone(2), Linux 5.7), on cgroup v2.
    ///
    /// Without one, or if the kernel refuses it, call [`attach`](Self::attach) after the clone.
    pub fn clone_into(&self) -> Option<OwnedFd> {
        match self.place() {
            Place::V2(c) => c.open().ok(),
            Place::None | Place::V1(_) => None,
        }
    }

    /// The cgroup that process `pid` is in now, on cgroup v2. It is for an exec into a container whose init has
    /// moved to a cgroup below its first one, which then no longer accepts processes.
    pub fn clone_into_that_of(&self, pid: i32) -> Option<OwnedFd> {
        let Place::V2(c) = self.place() else { return None };
        v2::open_dir(&self.now_of(pid, &c.path)?).ok()
    }

    /// The cgroup that process `pid` is in now, in the hierarchy in which this container's cgroup is `dir`.
    pub(crate) fn now_of(&self, pid: i32, dir: &Path) -> Option<PathBuf> {
        let own = Own::of(pid).ok()?;
        let mount = Path::new(MOUNT);
        match self.place() {
            Place::None => None,
            Place::V2(_) => Some(below(mount, own.unified()?)),
            Place::V1(c) => {
                let (name, _) = c.paths.iter().find(|(_, path)| *path == dir)?;
                if name == v1::hierarchy::HYBRID {
                    return Some(below(&mount.join("unified"), own.unified()?));
                }
                v1::hierarchy::locate(mount, &own, Path::new("")).remove(name)
            }
        }
    }

    /// The existing cgroup `path` below this one, in every hierarchy: `exec --cgroup`.
    ///
    /// # Errors
    /// It does not exist.
    pub fn sub(&self, path: &str) -> Result<Self, CgroupError> {
        let inner = clean(path);
        let enter = |dir: &Path| {
            let dir = below(dir, &inner);
            match std::fs::metadata(&dir) {
                Ok(_) => Ok(dir),
                Err(source) => Err(CgroupError::Read { path: dir, source }),
            }
        };
        let backend = match self.place() {
            Place::None => Backend::None,
            Place::V2(c) => Backend::V2(Unified { path: enter(&c.path)? }),
            Place::V1(c) => {
                let paths = c.paths.iter().map(|(name, dir)| Ok((name.clone(), enter(dir)?)));
                Backend::V1(Legacy { paths: paths.collect::<Result<_, _>>()?, rootless: c.rootless })
            }
        };
        Ok(Self { backend, limited: self.limited, rootless: self.rootless })
    }

    /// Asks systemd where it will put the scope. Returns true if there is something new to be stored for
    /// [`remove`](Self::remove) before [`attach`](Self::attach) starts the scope; the cgroups of the other back
    /// ends have been announced before.
    ///
    /// # Errors
    /// The bus cannot be reached.
    pub fn locate(&mut self) -> Result<bool, CgroupError> {
        match &mut self.backend {
            Backend::Systemd(scope) => scope.locate(),
            Backend::None | Backend::V2(_) | Backend::V1(_) => Ok(false),
        }
    }

    /// Moves process `pid` into the cgroup; with the systemd driver the first process starts the scope. Without a
    /// cgroup this does nothing.
    ///
    /// An ordinary user who may not do this, and has no limits that depend on it, ends up without a cgroup.
    ///
    /// # Errors
    /// The kernel or systemd refuses.
    pub fn attach(&mut self, pid: i32) -> Result<(), CgroupError> {
        let result = match &mut self.backend {
            Backend::None => return Ok(()),
            Backend::V2(c) => procs::attach(&c.path, pid),
            Backend::V1(c) => c.attach(pid),
            Backend::Systemd(scope) => return scope.attach(pid),
        };
        match result {
            Err(CgroupError::Attach { source, .. })
                if self.rootless && !self.limited && file::is_denied(&source) =>
            {
                tracing::debug!("running without a cgroup: {source}");
                let _ = self.remove();
                self.backend = Backend::None;
                Ok(())
            }
            other => other,
        }
    }

    pub(crate) const fn is_scope(&self) -> bool {
        matches!(self.backend, Backend::Systemd(_))
    }

    /// Has systemd move process `pid` into `dir`, the cgroup of the scope or one below it.
    pub(crate) fn attach_through_systemd(&self, pid: i32, dir: &Path) -> Result<(), CgroupError> {
        match &self.backend {
            Backend::Systemd(scope) => scope.attach_below(pid, dir),
            Backend::None | Backend::V2(_) | Backend::V1(_) => Ok(()),
        }
    }

    /// Sets the limits and device rules of a new container; returns what was left out, as text.
    ///
    /// Call it for every container, with empty limits and rules if it has none: this is what denies access to the
    /// host's devices. For an ordinary user the user namespace does that. With the systemd driver, call it after
    /// [`attach`](Self::attach); with the others, before or after.
    ///
    /// # Errors
    /// The kernel or the specification refuses a value, or there is a limit but no cgroup.
    pub fn apply(&self, limits: &Limits, rules: &[LinuxDeviceCgroup]) -> Result<Vec<String>, CgroupError> {
        // First, since systemd writes the limits that it knows once more together with the devices.
        if !self.rootless {
            match &self.backend {
                Backend::None => {}
                Backend::V2(c) => c.apply_devices(rules)?,
                Backend::V1(c) => c.apply_devices(rules)?,
                Backend::Systemd(scope) => scope.apply_devices(rules)?,
            }
        }
        self.update(limits)
    }

    /// Changes the limits of a running container and leaves its device rules alone; returns what was left out, as
    /// text.
    ///
    /// # Errors
    /// Those of [`apply`](Self::apply).
    pub fn update(&self, limits: &Limits) -> Result<Vec<String>, CgroupError> {
        match &self.backend {
            Backend::None => Self::update_without(limits),
            Backend::V2(c) => c.apply(limits),
            Backend::V1(c) => c.apply(limits),
            Backend::Systemd(scope) => scope.update(limits),
        }
    }

    fn update_without(limits: &Limits) -> Result<Vec<String>, CgroupError> {
        let wanted = Wanted::of(limits, version(is_unified()));
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        Err(wanted.unavailable("this container has no cgroup for".to_owned(), CREATE_DELEGATED.to_owned()))
    }

    /// Freezes every process, and returns when all are frozen.
    ///
    /// # Errors
    /// There is no cgroup or no freezer, or a process did not freeze within ten seconds.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        match self.place() {
            Place::None => Err(CgroupError::NoCgroup { action: "freeze", remedy: CREATE_DELEGATED }),
            Place::V2(c) => v2::freezer::freeze(&c.path),
            Place::V1(c) => c.freeze(),
        }
    }

    /// Thaws the processes.
    ///
    /// # Errors
    /// There is no cgroup, or the kernel refuses.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        match self.place() {
            Place::None => Err(CgroupError::NoCgroup { action: "thaw", remedy: CREATE_DELEGATED }),
            Place::V2(c) => v2::freezer::thaw(&c.path),
            Place::V1(c) => c.thaw(),
        }
    }

    /// Lets processes end that were sent SIGKILL: on v1 a frozen process does not, whether this cgroup is frozen
    /// or one below it that something in the container has frozen.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn release_killed(&self) -> Result<(), CgroupError> {
        match self.place() {
            Place::None => Ok(()),
            Place::V2(c) if !v2::freezer::is_frozen(&c.path)? => Ok(()),
            Place::V2(c) => v2::freezer::thaw(&c.path),
            Place::V1(c) => c.release_killed(),
        }
    }

    /// Whether the cgroup is frozen: the state `paused`.
    ///
    /// # Errors
    /// There is a cgroup, and its state cannot be read.
    pub fn is_frozen(&self) -> Result<bool, CgroupError> {
        match self.place() {
            Place::None => Ok(false),
            Place::V2(c) => v2::freezer::is_frozen(&c.path),
            Place::V1(c) => c.is_frozen(),
        }
    }

    /// Every process in the cgroup and below it, as numbered in the caller's pid namespace. Empty without a
    /// cgroup, or if the cgroup is gone or cannot be read.
    pub fn pids(&self) -> Vec<i32> {
        self.try_pids().unwrap_or_else(|e| {
            tracing::warn!("{e}");
            Vec::new()
        })
    }

    /// Like [`pids`](Self::pids), but returns the error.
    ///
    /// # Errors
    /// The cgroup cannot be read.
    pub fn try_pids(&self) -> Result<Vec<i32>, CgroupError> {
        match self.place() {
            Place::None => Ok(Vec::new()),
            Place::V2(c) => c.pids(),
            Place::V1(c) => c.pids(),
        }
    }

    /// Whether no process is left. Without a cgroup this cannot be determined, and the answer is yes; if the cgroup
    /// cannot be read, the answer is no.
    pub fn is_empty(&self) -> bool {
        self.try_pids().is_ok_and(|pids| pids.is_empty())
    }

    /// Sends `signal` to every process. SIGKILL is sent in one operation if the kernel supports it; otherwise the
    /// cgroup is frozen so that no fork escapes. Without a cgroup this does nothing.
    ///
    /// # Errors
    /// The cgroup cannot be read, or its processes cannot be killed.
    pub fn kill_all(&self, signal: i32) -> Result<(), CgroupError> {
        let at_once = signal == Signal::SIGKILL as i32;
        let killed = match self.place() {
            Place::None => true,
            Place::V2(c) => at_once && v2::kill(&c.path)?,
            Place::V1(c) => at_once && c.kill()?,
        };
        if killed {
            return Ok(());
        }
        // Best effort: the processes of a cgroup without a freezer still get the signal.
        if let Err(e) = self.freeze() {
            tracing::debug!("signalling without freezing: {e}");
        }
        let pids = self.try_pids();
        procs::signal(pids.as_deref().unwrap_or_default(), signal);
        let thawed = if at_once { self.thaw().and_then(|()| self.release_killed()) } else { self.thaw() };
        if let Err(e) = thawed {
            tracing::debug!("{e}");
        }
        pids.map(drop)
    }

    /// What the container uses, from the files of its cgroup.
    ///
    /// # Errors
    /// There is no cgroup, it is gone, or a file cannot be read.
    pub fn stats(&self) -> Result<Stats, CgroupError> {
        let (dir, stats) = match self.place() {
            Place::None => {
                return Err(CgroupError::NoCgroup { action: "statistics", remedy: CREATE_DELEGATED });
            }
            Place::V2(c) if !c.path.is_dir() => (c.path.clone(), Err(gone())),
            Place::V2(c) => (c.path.clone(), stats::unified(&c.path)),
            Place::V1(c) => (c.main().map(Path::to_owned).unwrap_or_default(), stats::legacy(&c.paths)),
        };
        stats.map_err(|source| CgroupError::Read { path: dir, source })
    }

    /// Watches for OOM kills in the cgroup; `None` without the memory controller.
    ///
    /// # Errors
    /// The kernel refuses the watch.
    pub fn watch_oom(&self) -> Result<Option<OomWatch>, CgroupError> {
        let (dir, watch) = match self.place() {
            Place::None => return Ok(None),
            Place::V2(c) => (&c.path, OomWatch::unified(&c.path)),
            Place::V1(c) => match c.paths.get("memory") {
                Some(dir) => (dir, OomWatch::legacy(dir)),
                None => return Ok(None),
            },
        };
        match watch {
            Ok(watch) => Ok(Some(watch)),
            Err(e) if file::is_gone(&e) => Ok(None),
            Err(source) => Err(CgroupError::Read { path: dir.clone(), source }),
        }
    }

    /// Makes user `uid` the owner of the cgroup, who may then make cgroups below it: runtime-spec,
    /// config-linux.md, "Cgroup ownership". Only cgroup v2 can be delegated safely.
    ///
    /// # Errors
    /// chown(2) is refused.
    pub fn delegate_to(&self, uid: u32) -> Result<(), CgroupError> {
        match self.place() {
            Place::V2(c) => v2::delegate(&c.path, uid),
            Place::None | Place::V1(_) => Ok(()),
        }
    }

    /// The number of processes that the OOM killer has killed; `None` if the cgroup is gone.
    pub fn oom_kills(&self) -> Option<u64> {
        match self.place() {
            Place::None => Some(0),
            Place::V2(c) => c.oom_kills(),
            Place::V1(c) => c.oom_kills(),
        }
    }

    /// Removes the cgroup and everything below it. It is no error if it is already gone.
    ///
    /// # Errors
    /// Processes were still in it after about a second.
    pub fn remove(&self) -> Result<(), CgroupError> {
        match &self.backend {
            Backend::None => Ok(()),
            Backend::V2(c) => remove::tree(&c.path),
            Backend::V1(c) => c.remove(),
            Backend::Systemd(scope) => scope.remove(),
        }
    }

    /// The directories by controller, like `cgroup_paths` in runc's state.json: one entry with an empty key on
    /// v2, one for each controller on v1, and none without a cgroup.
    pub fn paths(&self) -> BTreeMap<String, String> {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        match self.place() {
            Place::None => BTreeMap::new(),
            Place::V2(c) => BTreeMap::from([(String::new(), text(&c.path))]),
            Place::V1(c) => c.paths.iter().map(|(name, path)| (name.clone(), text(path))).collect(),
        }
    }
}

/// The caller's own cgroup in each mounted hierarchy of version 1, by controller.
pub fn own_v1_paths() -> Result<BTreeMap<String, String>, CgroupError> {
    let own = Own::read().map_err(|source| CgroupError::Read { path: "/proc/self/cgroup".into(), source })?;
    let paths = v1::hierarchy::locate(Path::new(MOUNT), &own, Path::new(""));
    let named = paths.into_iter().filter(|(name, _)| name != v1::hierarchy::HYBRID);
    Ok(named.map(|(name, path)| (name, path.to_string_lossy().into_owned())).collect())
}

fn gone() -> std::io::Error {
    Errno::ENOENT.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_back_end_comes_back_from_state() {
        for json in [
            r#"{"backend":"none","limited":false,"rootless":true}"#,
            r#"{"backend":{"v2":{"path":"/sys/fs/cgroup/web"}},"limited":true,"rootless":false}"#,
            r#"{"backend":{"v1":{"paths":{"":"/u/web","memory":"/m/web"},"rootless":false}},"limited":true,"rootless":false}"#,
            r#"{"backend":{"systemd":{"unit":{"name":"rootling-web.scope","slice":"user.slice"},"rootless":true,"cgroups":{"v2":{"path":"/sys/fs/cgroup/x"}}}},"limited":false,"rootless":true}"#,
        ] {
            let cgroup: Cgroup = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&cgroup).unwrap(), json);
        }
    }

    #[test]
    fn paths_are_those_of_runcs_state() {
        let v2 = r#"{"backend":{"v2":{"path":"/sys/fs/cgroup/web"}},"limited":true,"rootless":false}"#;
        let v2: Cgroup = serde_json::from_str(v2).unwrap();
        assert_eq!(v2.paths(), BTreeMap::from([(String::new(), "/sys/fs/cgroup/web".to_owned())]));
        assert!(Cgroup::none().paths().is_empty());
    }

    #[test]
    fn a_host_without_cgroups_runs_an_ordinary_user() {
        let mount = tempfile::tempdir().unwrap();
        let user = Request { id: "web", rootless: true, ..Request::default() };
        assert!(Cgroup::prepare_in(mount.path(), &user, &mut |_| ()).unwrap().is_none());
    }

    #[test]
    fn without_a_cgroup_a_limit_and_a_pause_are_errors() {
        let cgroup = Cgroup::none();
        let limits = crate::knob::testing::limits(r#"{"pids":{"limit":3}}"#);
        assert!(cgroup.update(&limits).unwrap_err().to_string().contains("pids"));
        assert!(cgroup.freeze().is_err() && cgroup.thaw().is_err());
        assert!(cgroup.remove().is_ok() && cgroup.kill_all(9).is_ok() && cgroup.pids().is_empty());
    }
}
