//! Creates a container's cgroup and enables controllers for it.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use rootling_config::remedies::{CONTROLLERS_FROM_OUTSIDE, Family, OWN_SCOPE};

use crate::path::{Own, below, clean};
use crate::wanted::Wanted;
use crate::{CgroupError, Request, file, procs, v2::freezer};

/// Creates the cgroup of `request` below the cgroup2 mount `root`.
///
/// The directory is announced before it is made.
///
/// `None` if an ordinary user has no cgroup to create it in and asks for no limits.
pub(crate) fn create(
    root: &Path,
    request: &Request,
    wanted: &Wanted,
    announce: &mut dyn FnMut(&Path),
) -> Result<Option<PathBuf>, CgroupError> {
    let mut denied = None;
    for Candidate { dir, unit } in candidates(root, request)? {
        if dir.exists() {
            check_reusable(&dir)?;
        }
        // If the caller may not write there, mkdir is refused below and there is nothing to announce.
        if dir.parent().is_none_or(|parent| access(parent, AccessFlags::W_OK) != Err(Errno::EACCES)) {
            announce(&dir);
        }
        match create_at(unit.as_deref().unwrap_or(root), &dir, wanted, unit.is_some()) {
            Err(CgroupError::Create { path, source }) if request.rootless && file::is_denied(&source) => {
                denied.get_or_insert((path, source));
            }
            other => return other.map(|()| Some(dir)),
        }
    }
    let Some((path, source)) = denied else { return Ok(None) };
    if wanted.is_empty() {
        // A path that was explicitly asked for is not given up silently.
        let asked = request.path.is_some_and(|p| !p.is_empty());
        return if asked { Err(CgroupError::Create { path, source }) } else { Ok(None) };
    }
    let why = format!("this user may not set (mkdir {}: {source})", path.display());
    Err(wanted.unavailable(why, remedy()))
}

/// How a caller without controllers can get them.
fn remedy() -> String {
    if nix::unistd::geteuid().is_root() {
        return format!("{CONTROLLERS_FROM_OUTSIDE}, or remove the limits");
    }
    format!(
        "delegate them: {}; or, where they are delegated, have the user's systemd make the cgroup with --systemd-cgroup, or \
         {OWN_SCOPE}; or remove the limits",
        Family::Other.delegate()
    )
}

/// A possible place for the cgroup.
struct Candidate {
    dir: PathBuf,
    /// The delegated systemd unit that it is below, or the cgroup of an outer container: everything above belongs
    /// to somebody else.
    unit: Option<PathBuf>,
}

/// The possible places for the cgroup, best first.
///
/// An absolute path is relative to the mount. A relative one, by default the container's id, is placed next to
/// the caller's own cgroup: below that, controllers could not be enabled while the caller itself is in it.
///
/// For an ordinary user in a systemd unit, as under `systemd-run --scope -p Delegate=yes`, it is placed below the
/// unit: next to it, systemd would take the controllers away again whenever it checks.
fn candidates(root: &Path, request: &Request) -> Result<Vec<Candidate>, CgroupError> {
    let path = clean(request.path.filter(|p| !p.is_empty()).unwrap_or(request.id));
    if path.is_absolute() {
        return Ok(vec![Candidate { dir: below(root, &path), unit: inner_root(root) }]);
    }
    let own = Own::read().map_err(|source| CgroupError::Read { path: "/proc/self/cgroup".into(), source })?;
    // Outside the caller's cgroup namespace the path starts with "/..": normalise it like any other.
    let own = clean(&own.unified().unwrap_or(Path::new("/")).to_string_lossy());
    let in_own = |unit| Candidate { dir: below(root, &own).join(&path), unit };
    if request.rootless && is_unit(&own) {
        return Ok(vec![in_own(Some(below(root, &own)))]);
    }
    let parent = below(root, own.parent().unwrap_or(&own));
    // If the unit was divided before, the caller is below it, and nothing above the unit is ours.
    let unit = parent.strip_prefix(root).is_ok_and(|p| request.rootless && is_unit(p));
    let unit = unit.then(|| parent.clone()).or_else(|| inner_root(root));
    let mut places = vec![Candidate { dir: parent.join(&path), unit }];
    if request.rootless && own.parent().is_some() {
        places.push(in_own(None));
    }
    Ok(places)
}

/// The root of the mount, if it is the cgroup of an outer container. All processes of that container are in it,
/// so there is no place without any. The root of the hierarchy has no type, and no such restriction.
fn inner_root(root: &Path) -> Option<PathBuf> {
    root.join("cgroup.type").exists().then(|| root.to_owned())
}

/// Whether a cgroup belongs to a unit with processes, judging by its name.
fn is_unit(cgroup: &Path) -> bool {
    cgroup.extension().is_some_and(|e| e == "scope" || e == "service")
}

/// Creates `dir` with its parents, leaving nothing behind on failure. Controllers are enabled from `top` down;
/// `divide` says whether the processes in it may be moved to make that possible.
fn create_at(top: &Path, dir: &Path, wanted: &Wanted, divide: bool) -> Result<(), CgroupError> {
    let mut made = Vec::new();
    let result = mkdir_all(dir, &mut made)
        .and_then(|()| if made.is_empty() { check_reusable(dir) } else { Ok(()) })
        .and_then(|()| {
            if divide && check_controllers(dir, wanted).is_err() {
                move_aside(top)?;
            }
            enable(top, dir, wanted);
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

/// mkdir with parents. It tries the whole path first, since all but the last component nearly always exist.
fn mkdir_all(dir: &Path, made: &mut Vec<PathBuf>) -> Result<(), CgroupError> {
    let error = |source| CgroupError::Create { path: dir.to_owned(), source };
    match std::fs::create_dir(dir) {
        Ok(()) => made.push(dir.to_owned()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            mkdir_all(dir.parent().ok_or_else(|| error(e))?, made)?;
            match std::fs::create_dir(dir) {
                Ok(()) => made.push(dir.to_owned()),
                // Another container with the same parent was faster.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(error(e)),
            }
        }
        Err(e) => return Err(error(e)),
    }
    Ok(())
}

/// An existing cgroup is reused only if nothing runs in it and it is not frozen.
pub(crate) fn check_reusable(dir: &Path) -> Result<(), CgroupError> {
    let count = procs::all(dir)?.len();
    if count != 0 {
        return Err(CgroupError::NotEmpty { path: dir.to_owned(), count });
    }
    if freezer::is_frozen(dir)? {
        return Err(CgroupError::Frozen { path: dir.to_owned() });
    }
    Ok(())
}

/// Enables on every level from `top` to above `dir` the controllers that are available there, as far as the
/// caller may.
///
/// It enables all of them, not only those that are wanted: `update` may need others later, and statistics need
/// the controllers as well. A level that cannot be written to is not ours; [`check_controllers`] finds out what
/// that costs.
pub(crate) fn enable(top: &Path, dir: &Path, wanted: &Wanted) {
    let levels: Vec<_> = dir.ancestors().skip(1).take_while(|d| d.starts_with(top)).collect();
    for level in levels.into_iter().rev() {
        // An error means "not permitted" or "not available": the missing controllers describe either of them
        // better.
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
    // EBUSY: there are processes on this level. Threaded controllers could still be enabled, but they make the
    // levels below an invalid domain, so that is done only on request.
    let busy = rootling_sys::errno(&error) == Some(Errno::EBUSY);
    for controller in missing {
        if !busy || wanted.contains(controller) {
            let _ = control.write_all(format!("+{controller}").as_bytes());
        }
    }
    Ok(())
}

/// The cgroup below a unit to which the unit's own processes are moved.
const ASIDE: &str = "supervisor";

/// Moves the processes of a delegated unit to a cgroup below it. A cgroup with processes cannot enable
/// controllers (cgroup-v2.rst, "No Internal Process Constraint"), and this is what systemd requires of those to
/// whom it delegates (CGROUP_DELEGATION.md, "Delegation").
fn move_aside(unit: &Path) -> Result<(), CgroupError> {
    let aside = unit.join(ASIDE);
    match std::fs::create_dir(&aside) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            return Err(CgroupError::Create { path: aside, source: e });
        }
        _ => {}
    }
    let pids = procs::direct(unit).map_err(|source| CgroupError::Read { path: unit.to_owned(), source })?;
    tracing::debug!("moving the {} processes of {} to {ASIDE} below it", pids.len(), unit.display());
    for pid in pids {
        match procs::attach(&aside, pid) {
            // The process has ended meanwhile.
            Err(CgroupError::Attach { source, .. }) if rootling_sys::errno(&source) == Some(Errno::ESRCH) => {
            }
            other => other?,
        }
    }
    Ok(())
}

/// Makes a cgroup usable that is below a threaded one, or below one with processes, if that is possible.
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

/// Finds out whether a limit cannot be set before anything is started.
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
    Err(missing.unavailable(why, remedy()))
}

#[cfg(test)]
mod tests {
    use rootling_config::limits::Version;

    use super::*;
    use rootling_config::CgroupManager;

    fn request(path: Option<&str>, rootless: bool) -> Request<'_> {
        Request { id: "web", path, manager: CgroupManager::Cgroupfs, limits: None, rootless }
    }

    fn fill(dir: &Path, files: &[(&str, &str)]) {
        std::fs::create_dir_all(dir).unwrap();
        for (name, content) in files {
            std::fs::write(dir.join(name), content).unwrap();
        }
    }

    fn wanting(json: &str) -> Wanted {
        Wanted::of(&crate::knob::testing::limits(json), Version::V2)
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
    fn a_unit_is_told_by_its_name() {
        for (cgroup, unit) in [
            ("/user.slice/user@1.service/app.slice/run-1.scope", true),
            ("/system.slice/x.service", true),
            ("/user.slice", false),
            ("/user.slice/user@1.service/app.slice/run-1.scope/supervisor", false),
            ("/", false),
        ] {
            assert_eq!(is_unit(Path::new(cgroup)), unit, "{cgroup}");
        }
    }

    #[test]
    fn processes_of_an_outer_container_make_room_for_limits() {
        for (kind, moved) in [(Some("domain\n"), "7"), (None, "")] {
            let root = tempfile::tempdir().unwrap();
            fill(root.path(), &[("cgroup.procs", "7\n"), ("cgroup.controllers", "memory\n")]);
            fill(&root.path().join(ASIDE), &[("cgroup.procs", "")]);
            fill(&root.path().join("web"), &[("cgroup.procs", ""), ("cgroup.controllers", "\n")]);
            if let Some(kind) = kind {
                fill(root.path(), &[("cgroup.type", kind)]);
            }
            let memory = wanting(r#"{"memory":{"limit":9000000}}"#);
            create(root.path(), &request(Some("/web"), true), &memory, &mut |_| ()).unwrap_err();
            let procs = std::fs::read_to_string(root.path().join(ASIDE).join("cgroup.procs")).unwrap();
            assert_eq!(procs.trim(), moved, "{kind:?}");
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
        // Nobody delegates to root.
        let root_runs_this = nix::unistd::geteuid().is_root();
        let remedy = if root_runs_this { "cgroup.subtree_control" } else { "Delegate=cpu cpuset io memory" };
        assert!(error.contains(remedy), "{error}");
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
