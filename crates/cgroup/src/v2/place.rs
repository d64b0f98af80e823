//! Creating a container's cgroup and handing it its controllers.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use crate::path::{Own, below, clean};
use crate::wanted::Wanted;
use crate::{CgroupError, Request, file, procs, v2::freezer};

/// Creates the cgroup of `request` below the cgroup2 mount `root`.
///
/// Announces the directory before it is made.
///
/// `None` when an ordinary user has no cgroup to create it in and asks for no limits.
pub(crate) fn create(
    root: &Path,
    request: &Request,
    wanted: &Wanted,
    announce: &mut dyn FnMut(&Path),
) -> Result<Option<PathBuf>, CgroupError> {
    let mut denied = None;
    for dir in candidates(root, request)? {
        if dir.exists() {
            check_reusable(&dir)?;
        }
        // Where the caller may not write, mkdir is refused below and there is nothing to announce.
        if dir.parent().is_none_or(|parent| access(parent, AccessFlags::W_OK) != Err(Errno::EACCES)) {
            announce(&dir);
        }
        match create_at(root, &dir, wanted) {
            Err(CgroupError::Create { path, source }) if request.rootless && file::is_denied(&source) => {
                denied.get_or_insert((path, source));
            }
            other => return other.map(|()| Some(dir)),
        }
    }
    let Some((path, source)) = denied else { return Ok(None) };
    if wanted.is_empty() {
        if let Some(path) = request.path {
            tracing::warn!("linux.cgroupsPath {path:?} is not writable by this user and ignored: {source}");
        }
        return Ok(None);
    }
    let why = format!("this user may not set (mkdir {}: {source})", path.display());
    Err(wanted.unavailable(why, remedy(wanted)))
}

/// What makes controllers available to an ordinary user.
fn remedy(wanted: &Wanted) -> String {
    format!(
        "delegate them: put `[Service]` and `Delegate={}` on two lines of \
         /etc/systemd/system/user@.service.d/delegate.conf, run `systemctl daemon-reload`, log in again; \
         or run under `systemd-run --user --scope -p Delegate=yes`; or remove the limits",
        wanted.list()
    )
}

/// Where the cgroup may go, best first.
///
/// An absolute path is taken from the mount. A relative one, by default the container's id, goes
/// beside the caller's own cgroup: below it, controllers could not be enabled while the caller
/// itself is in there. An ordinary user who owns his cgroup but not the one above it, as under
/// `systemd-run -p Delegate=yes`, still gets one below his own.
fn candidates(root: &Path, request: &Request) -> Result<Vec<PathBuf>, CgroupError> {
    let path = clean(request.path.filter(|p| !p.is_empty()).unwrap_or(request.id));
    if path.is_absolute() {
        return Ok(vec![below(root, &path)]);
    }
    let own = Own::read().map_err(|source| CgroupError::Read { path: "/proc/self/cgroup".into(), source })?;
    // Outside the caller's cgroup namespace the path starts with "/..": clean it like any other.
    let own = clean(&own.unified().unwrap_or(Path::new("/")).to_string_lossy());
    let parent = below(root, own.parent().unwrap_or(&own));
    let mut dirs = vec![parent.join(&path)];
    if request.rootless && own.parent().is_some() {
        dirs.push(below(root, &own).join(&path));
    }
    Ok(dirs)
}

/// Creates `dir` with its parents, leaving nothing behind on failure.
fn create_at(root: &Path, dir: &Path, wanted: &Wanted) -> Result<(), CgroupError> {
    let mut made = Vec::new();
    let result = mkdir_all(dir, &mut made)
        .and_then(|()| if made.is_empty() { check_reusable(dir) } else { Ok(()) })
        .and_then(|()| {
            enable(root, dir, wanted);
            check_type(dir, wanted)?;
            check_controllers(dir, wanted)
        });
    if result.is_err() {
        for dir in made.iter().rev() {
            let _ = std::fs::remove_dir(dir);
        }
    }
    result
}

/// mkdir with parents, trying the whole path first: all but the last part exist nearly always.
fn mkdir_all(dir: &Path, made: &mut Vec<PathBuf>) -> Result<(), CgroupError> {
    let error = |source| CgroupError::Create { path: dir.to_owned(), source };
    match std::fs::create_dir(dir) {
        Ok(()) => made.push(dir.to_owned()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            mkdir_all(dir.parent().ok_or_else(|| error(e))?, made)?;
            match std::fs::create_dir(dir) {
                Ok(()) => made.push(dir.to_owned()),
                // Another container below the same parent was faster.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(error(e)),
            }
        }
        Err(e) => return Err(error(e)),
    }
    Ok(())
}

/// A cgroup that exists already is taken over only when nothing runs in it and nothing would be
/// stopped in it.
pub(crate) fn check_reusable(dir: &Path) -> Result<(), CgroupError> {
    let count = procs::all(dir)?.len();
    if count != 0 {
        return Err(CgroupError::NotEmpty { path: dir.to_owned(), count });
    }
    if freezer::is_frozen(dir) {
        return Err(CgroupError::Frozen { path: dir.to_owned() });
    }
    Ok(())
}

/// Enables on every level above `dir` what that level has, so far as the caller may.
///
/// Everything, not only what is wanted: `update` may ask for more later, and statistics need the
/// controllers too. A level that cannot be written is not ours; what that costs is found by
/// [`check_controllers`].
pub(crate) fn enable(root: &Path, dir: &Path, wanted: &Wanted) {
    let levels: Vec<_> = dir.ancestors().skip(1).take_while(|d| d.starts_with(root)).collect();
    for level in levels.into_iter().rev() {
        // An error is one of "may not" or "is not there": both are told better by what is missing.
        let _ = enable_at(level, wanted);
    }
}

fn enable_at(level: &Path, wanted: &Wanted) -> io::Result<()> {
    use io::Write;
    let mut control = file::open(level, "cgroup.subtree_control", true, true)?;
    let enabled = file::slurp(&mut control)?;
    let offered = file::read(level, "cgroup.controllers")?;
    let missing: Vec<_> =
        offered.split_whitespace().filter(|c| !enabled.split_whitespace().any(|e| e == *c)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let all = missing.iter().map(|c| format!("+{c}")).collect::<Vec<_>>().join(" ");
    let Err(error) = control.write_all(all.as_bytes()) else { return Ok(()) };
    // EBUSY: processes on this level. Threaded controllers could still be had, but they turn the
    // levels below into an invalid domain, so only on request.
    let busy = error.raw_os_error() == Some(nix::libc::EBUSY);
    for controller in missing {
        if !busy || wanted.contains(controller) {
            let _ = control.write_all(format!("+{controller}").as_bytes());
        }
    }
    Ok(())
}

/// Makes a cgroup below a threaded one, or below one with processes, usable where that is possible.
fn check_type(dir: &Path, wanted: &Wanted) -> Result<(), CgroupError> {
    // The root of the hierarchy has no type.
    let kind = file::read(dir, "cgroup.type").unwrap_or_default();
    let kind = kind.trim();
    if !matches!(kind, "domain invalid" | "domain threaded" | "threaded") {
        return Ok(());
    }
    if wanted.domain_only() {
        let why = "only cpu, cpuset and pids limits work in it";
        return Err(CgroupError::NotADomain { path: dir.to_owned(), kind: kind.to_owned(), why });
    }
    if kind == "domain invalid" {
        file::write(dir, "cgroup.type", "threaded").map_err(|source| CgroupError::Write {
            path: dir.join("cgroup.type"),
            value: "threaded".into(),
            source,
        })?;
    }
    Ok(())
}

/// Finds out before anything starts that a limit could not be set.
pub(crate) fn check_controllers(dir: &Path, wanted: &Wanted) -> Result<(), CgroupError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let have = file::read(dir, "cgroup.controllers")
        .map_err(|source| CgroupError::Read { path: dir.join("cgroup.controllers"), source })?;
    let missing = wanted.missing(|c| have.split_whitespace().any(|h| h == c));
    if missing.is_empty() {
        return Ok(());
    }
    let why = format!("{} does not have (it has: {})", dir.display(), have.trim());
    Err(missing.unavailable(why, remedy(&missing)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Driver;

    fn request(path: Option<&str>, rootless: bool) -> Request<'_> {
        Request { id: "web", path, driver: Driver::Cgroupfs, resources: None, rootless }
    }

    fn fill(dir: &Path, files: &[(&str, &str)]) {
        std::fs::create_dir_all(dir).unwrap();
        for (name, content) in files {
            std::fs::write(dir.join(name), content).unwrap();
        }
    }

    fn wanting(json: &str) -> Wanted {
        Wanted::from(Some(&serde_json::from_str(json).unwrap()))
    }

    #[test]
    fn an_absolute_path_is_taken_from_the_mount() {
        let root = tempfile::tempdir().unwrap();
        let dir = create(root.path(), &request(Some("/a/../b/web"), false), &Wanted::default(), &mut |_| ())
            .unwrap();
        assert_eq!(dir, Some(root.path().join("b/web")));
        assert!(root.path().join("b/web").is_dir());
    }

    #[test]
    fn controllers_are_enabled_on_every_level_above() {
        let root = tempfile::tempdir().unwrap();
        let slice = root.path().join("slice");
        fill(root.path(), &[("cgroup.controllers", "cpu pids"), ("cgroup.subtree_control", "")]);
        fill(&slice, &[("cgroup.controllers", "cpu pids"), ("cgroup.subtree_control", "")]);
        create(root.path(), &request(Some("/slice/web"), false), &Wanted::default(), &mut |_| ()).unwrap();
        for dir in [root.path(), &slice] {
            let written = std::fs::read_to_string(dir.join("cgroup.subtree_control")).unwrap();
            assert_eq!(written, "+cpu +pids");
        }
    }

    #[test]
    fn controllers_enabled_already_are_not_written_again() {
        let root = tempfile::tempdir().unwrap();
        fill(root.path(), &[("cgroup.controllers", "cpu pids"), ("cgroup.subtree_control", "pids cpu")]);
        create(root.path(), &request(Some("/web"), false), &Wanted::default(), &mut |_| ()).unwrap();
        let control = std::fs::read_to_string(root.path().join("cgroup.subtree_control")).unwrap();
        assert_eq!(control, "pids cpu");
    }

    #[test]
    fn a_cgroup_with_processes_is_refused() {
        let root = tempfile::tempdir().unwrap();
        fill(&root.path().join("web/sub"), &[("cgroup.procs", "7\n")]);
        let error =
            create(root.path(), &request(Some("/web"), false), &Wanted::default(), &mut |_| ()).unwrap_err();
        assert!(matches!(error, CgroupError::NotEmpty { count: 1, .. }), "{error}");
    }

    #[test]
    fn a_frozen_cgroup_is_refused() {
        let root = tempfile::tempdir().unwrap();
        fill(&root.path().join("web"), &[("cgroup.freeze", "1\n")]);
        let error =
            create(root.path(), &request(Some("/web"), false), &Wanted::default(), &mut |_| ()).unwrap_err();
        assert!(matches!(error, CgroupError::Frozen { .. }), "{error}");
    }

    #[test]
    fn an_empty_cgroup_is_taken_over() {
        let root = tempfile::tempdir().unwrap();
        fill(&root.path().join("web"), &[("cgroup.procs", ""), ("cgroup.freeze", "0\n")]);
        assert!(
            create(root.path(), &request(Some("/web"), false), &Wanted::default(), &mut |_| ())
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn a_missing_controller_is_named_and_nothing_is_left() {
        let root = tempfile::tempdir().unwrap();
        fill(&root.path().join("web"), &[("cgroup.procs", ""), ("cgroup.controllers", "pids\n")]);
        let wanted = wanting(r#"{"memory":{"limit":9000000},"pids":{"limit":5}}"#);
        let error =
            create(root.path(), &request(Some("/web"), false), &wanted, &mut |_| ()).unwrap_err().to_string();
        assert!(error.contains("controller(s) memory, which"), "{error}");
        assert!(error.contains("Delegate=memory"), "{error}");
        let error = create(root.path(), &request(Some("/a/b"), false), &wanted, &mut |_| ()).unwrap_err();
        assert!(matches!(error, CgroupError::Read { .. }));
        assert!(!root.path().join("a").exists());
    }

    #[test]
    fn domain_controllers_are_refused_below_a_threaded_cgroup() {
        let root = tempfile::tempdir().unwrap();
        fill(
            &root.path().join("web"),
            &[("cgroup.type", "domain invalid\n"), ("cgroup.controllers", "cpu memory")],
        );
        let memory = wanting(r#"{"memory":{"limit":9000000}}"#);
        let error = create(root.path(), &request(Some("/web"), false), &memory, &mut |_| ()).unwrap_err();
        assert!(matches!(error, CgroupError::NotADomain { .. }), "{error}");
        create(root.path(), &request(Some("/web"), false), &wanting(r#"{"cpu":{"shares":9}}"#), &mut |_| ())
            .unwrap();
        let kind = std::fs::read_to_string(root.path().join("web/cgroup.type")).unwrap();
        assert!(kind.starts_with("threaded"), "{kind}");
    }
}
