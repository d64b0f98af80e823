//! Creates a container's cgroups in the v1 hierarchies.

use std::io;
use std::path::{Path, PathBuf};

use cgroups_rs::fs::Controller;
use cgroups_rs::fs::cpuset::CpuSetController;
use rootling_config::remedies::UNIFIED_HIERARCHY;

use super::hierarchy::{HYBRID, Paths, locate};
use super::{Legacy, freezer, knobs, realtime};
use crate::path::{Own, clean};
use crate::wanted::Wanted;
use crate::{CgroupError, Request, file, knob, procs};

/// Creates the cgroups of `request` in the hierarchies mounted below `root`.
///
/// `None` if an ordinary user may not create it anywhere and asks for no limits. The directories are announced
/// before anything is made.
pub(crate) fn create(
    root: &Path,
    request: &Request,
    wanted: &Wanted,
    announce: &mut dyn FnMut(Legacy),
) -> Result<Option<Legacy>, CgroupError> {
    if request.limits.is_some_and(|limits| !limits.unified.is_empty()) {
        return Err(CgroupError::UnifiedOnV1);
    }
    let own = Own::read().map_err(|source| CgroupError::Read { path: "/proc/self/cgroup".into(), source })?;
    let path = clean(request.path.filter(|p| !p.is_empty()).unwrap_or(request.id));
    let mut paths = locate(root, &own, &path);
    if paths.keys().all(|name| name == HYBRID) {
        return none_mounted(root, request, wanted);
    }
    check_reusable(&paths)?;
    announce(Legacy { paths: paths.clone(), rootless: request.rootless });
    let mut made = Vec::new();
    let asked = request.path.is_some_and(|p| !p.is_empty());
    let result = mkdir_all(&mut paths, request.rootless, &mut made)
        .and_then(|denied| {
            check_controllers(&paths, wanted, denied.as_ref())?;
            match denied {
                // A path that was explicitly asked for is not given up silently.
                Some((path, source)) if asked && paths.is_empty() => {
                    Err(CgroupError::Create { path, source })
                }
                _ => Ok(()),
            }
        })
        .and_then(|()| set_realtime(&paths, request));
    if let Err(e) = result {
        for dir in made.iter().rev() {
            let _ = std::fs::remove_dir(dir);
        }
        return Err(e);
    }
    if paths.is_empty() {
        return Ok(None);
    }
    Ok(Some(Legacy { paths, rootless: request.rootless }))
}

fn none_mounted(root: &Path, request: &Request, wanted: &Wanted) -> Result<Option<Legacy>, CgroupError> {
    if request.rootless && wanted.is_empty() {
        return Ok(None);
    }
    Err(CgroupError::NoHierarchy { root: root.to_owned() })
}

/// Checks a single hierarchy in place of all, as runc does: checking each would cost more than it would find.
pub(crate) fn check_reusable(paths: &Paths) -> Result<(), CgroupError> {
    let Some(dir) = paths.get("devices").or_else(|| paths.values().next()) else { return Ok(()) };
    if dir.exists() {
        let count = procs::all(dir)?.len();
        if count != 0 {
            return Err(CgroupError::NotEmpty { path: dir.clone(), count });
        }
    }
    match paths.get("freezer") {
        Some(dir) if freezer::is_frozen(dir)? => Err(CgroupError::Frozen { path: dir.clone() }),
        _ => Ok(()),
    }
}

/// The directory in a hierarchy that an ordinary user may not write to, and the error.
pub(crate) type Denied = (PathBuf, io::Error);

/// Makes the directories and drops those that the caller may not make; returns the first refusal.
pub(crate) fn mkdir_all(
    paths: &mut Paths,
    rootless: bool,
    made: &mut Vec<PathBuf>,
) -> Result<Option<Denied>, CgroupError> {
    let mut denied = None;
    let mut dropped = Vec::new();
    for (name, dir) in paths.iter() {
        let missing: Vec<_> = dir.ancestors().take_while(|dir| !dir.exists()).map(Path::to_owned).collect();
        let result = mkdir(name, dir);
        // Recorded even if only some of them were made; top first, since they are removed in reverse order.
        made.extend(missing.into_iter().rev().filter(|dir| result.is_ok() || dir.exists()));
        match result {
            Ok(()) if name == "cpuset" => check_filled(dir)?,
            Ok(()) => {}
            // Neither of them controls anything, so a host that has them read-only loses nothing.
            Err(source) if super::legacy::is_optional(name) && file::is_denied(&source) => {
                dropped.push(name.clone());
            }
            Err(source) if rootless && file::is_denied(&source) => {
                dropped.push(name.clone());
                denied.get_or_insert((dir.clone(), source));
            }
            Err(source) => return Err(CgroupError::Create { path: dir.clone(), source }),
        }
    }
    paths.retain(|name, _| !dropped.contains(name));
    Ok(denied)
}

fn mkdir(name: &str, dir: &Path) -> io::Result<()> {
    if name != "cpuset" {
        return std::fs::create_dir_all(dir);
    }
    // No process can join a cpuset without CPUs and memory nodes; cgroups-rs copies those of the parent to every
    // level that has none.
    CpuSetController::new(dir.to_owned(), PathBuf::from("/"), false).create().map_err(io_error)
}

/// Checks that the new cpuset got its parent's CPUs and memory nodes, which cgroups-rs does not report.
fn check_filled(dir: &Path) -> Result<(), CgroupError> {
    for (file, exclusive) in [("cpus", "cpu_exclusive"), ("mems", "mem_exclusive")] {
        let read = |name: &str| std::fs::read_to_string(dir.join(name));
        // There is no prefix if the hierarchy is mounted with the option noprefix.
        let set = read(&format!("cpuset.{file}")).or_else(|_| read(file));
        let path = dir.join(format!("cpuset.{file}"));
        match set {
            Ok(set) if set.trim().is_empty() => return Err(CgroupError::EmptyCpuset { path, exclusive }),
            Ok(_) => {}
            Err(source) => return Err(CgroupError::Read { path, source }),
        }
    }
    Ok(())
}

/// The system call's error in an error of cgroups-rs.
fn io_error(error: cgroups_rs::fs::error::Error) -> io::Error {
    let errno = std::error::Error::source(&error)
        .and_then(|cause| cause.downcast_ref::<io::Error>())
        .and_then(io::Error::raw_os_error);
    errno.map_or_else(|| io::Error::other(error), io::Error::from_raw_os_error)
}

/// Finds out whether a limit cannot be set before anything is started.
fn check_controllers(paths: &Paths, wanted: &Wanted, denied: Option<&Denied>) -> Result<(), CgroupError> {
    let missing = wanted.missing(|c| paths.contains_key(if c == "io" { "blkio" } else { c }));
    if missing.is_empty() {
        return Ok(());
    }
    let (why, remedy) = match denied {
        Some((dir, source)) => (
            format!("this user may not set (mkdir {}: {source})", dir.display()),
            format!(
                "cgroup v1 delegates nothing to users by itself: boot with {UNIFIED_HIERARCHY}, or have root create the \
                 cgroup, chown it to you and name it in linux.cgroupsPath, or remove the limits"
            ),
        ),
        None => (
            "this host has not mounted".to_owned(),
            "mount them (cgroupfs-mount) or remove the limits".into(),
        ),
    };
    Err(missing.unavailable(why, remedy))
}

/// Sets the realtime budget, which must exist before a process with a realtime policy may join.
fn set_realtime(paths: &Paths, request: &Request) -> Result<(), CgroupError> {
    let Some(cpu) = request.limits.map(|limits| &limits.cpu) else { return Ok(()) };
    let knobs = knobs::realtime(cpu.realtime_runtime, cpu.realtime_period);
    let missing = |_: &knob::Knob| CgroupError::NoHierarchy { root: PathBuf::new() };
    let write = || knob::write_all(&knobs, |c| paths.get(c).cloned(), missing);
    match paths.get("cpu") {
        Some(dir) => realtime::below_raised(dir, cpu, write),
        None => write(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpuset_that_no_process_can_join_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |file: &str, set: &str| std::fs::write(dir.path().join(file), set).expect("write");
        write("cpuset.cpus", "0-1\n");
        write("cpuset.mems", "\n");
        let error = check_filled(dir.path()).expect_err("no memory nodes").to_string();
        assert!(error.contains("cpuset.mems is empty") && error.contains("cpuset.mem_exclusive"), "{error}");
        write("cpuset.mems", "0\n");
        check_filled(dir.path()).expect("a cpuset with both");
    }
}
