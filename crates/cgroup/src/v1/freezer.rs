//! Freezes processes through `freezer.state` (cgroup-v1/freezer-subsystem.rst).

use std::path::Path;
use std::time::Duration;

use crate::{CgroupError, file, procs};

const STATE: &str = "freezer.state";

/// Whether this cgroup itself was told to freeze, and not only one above it.
pub(crate) fn is_frozen(dir: &Path) -> Result<bool, CgroupError> {
    let frozen = file::find(dir, STATE)?.is_some_and(|s| matches!(s.trim(), "FROZEN" | "FREEZING"));
    Ok(frozen && file::find(dir, "freezer.self_freezing")?.is_none_or(|s| s.trim() == "1"))
}

/// Freezes every process of the cgroup, and returns when all are frozen.
///
/// While the kernel freezes the existing processes, new ones may appear, and the state remains FREEZING: it takes
/// another write, and sometimes a thaw and a pause, to get them all. The counts are those that runc found to
/// work.
///
/// # Errors
/// The cgroup did not freeze. It is thawed again, since it would be stuck in FREEZING otherwise.
pub(crate) fn freeze(dir: &Path) -> Result<(), CgroupError> {
    let result = try_freeze(dir);
    if result.is_err() {
        let _ = set(dir, "THAWED");
    }
    result
}

fn try_freeze(dir: &Path) -> Result<(), CgroupError> {
    let failed = |reason| Err(CgroupError::Freeze { path: dir.to_owned(), reason });
    for i in 0..1000 {
        if i % 50 == 49 {
            let _ = set(dir, "THAWED");
            std::thread::sleep(Duration::from_millis(10));
        }
        set(dir, "FROZEN")?;
        if i % 25 == 24 {
            std::thread::sleep(Duration::from_micros(10));
        }
        let state =
            file::read(dir, STATE).map_err(|source| CgroupError::Read { path: dir.join(STATE), source })?;
        match state.trim() {
            "FROZEN" => return Ok(()),
            "FREEZING" => {}
            "THAWED" => {
                return failed(
                    "something else has thawed it at the same time, such as resume or kill; try again"
                        .to_owned(),
                );
            }
            other => return failed(format!("it is in the state {other:?}, which is not known")),
        }
    }
    failed("stayed in state FREEZING; try again".to_owned())
}

/// Thaws the processes of the cgroup.
pub(crate) fn thaw(dir: &Path) -> Result<(), CgroupError> {
    set(dir, "THAWED")
}

/// Thaws the processes of the cgroup and of every one below it: a process that something in the container has
/// frozen would not even die of SIGKILL, and the first process of its pid namespace would wait for it forever.
pub(crate) fn thaw_all(dir: &Path) -> Result<(), CgroupError> {
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        if is_frozen(&dir)? {
            match thaw(&dir) {
                Err(CgroupError::Write { source, .. }) if file::is_gone(&source) => {}
                other => other?,
            }
        }
        left.extend(procs::children(&dir).map_err(|source| CgroupError::Read { path: dir, source })?);
    }
    Ok(())
}

fn set(dir: &Path, state: &str) -> Result<(), CgroupError> {
    file::write(dir, STATE, state).map_err(|source| CgroupError::Write {
        path: dir.join(STATE),
        value: state.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_frozen_from_above_is_not_frozen_itself() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &str| std::fs::write(dir.path().join(name), content).unwrap();
        assert!(!is_frozen(dir.path()).unwrap());
        write(STATE, "FROZEN\n");
        write("freezer.self_freezing", "0\n");
        assert!(!is_frozen(dir.path()).unwrap());
        write("freezer.self_freezing", "1\n");
        assert!(is_frozen(dir.path()).unwrap());
    }

    #[test]
    fn what_is_frozen_below_is_thawed_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let (frozen, thawed) = (dir.path().join("a/b"), dir.path().join("c"));
        for (dir, state) in [(&frozen, "FROZEN"), (&thawed, "untouched")] {
            std::fs::create_dir_all(dir).unwrap();
            std::fs::write(dir.join(STATE), state).unwrap();
        }
        thaw_all(dir.path()).unwrap();
        let state = |dir: &Path| std::fs::read_to_string(dir.join(STATE)).unwrap();
        assert!(state(&frozen).starts_with("THAWED"));
        assert_eq!(state(&thawed), "untouched");
        thaw_all(Path::new("/nonexistent/cgroup")).unwrap();
    }
}
