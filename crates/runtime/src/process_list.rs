//! The processes of a container that has no cgroup to list them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rootling_sys as sys;

use crate::process::ProcessRef;

/// All processes of the container whose first one is `init`, that one first.
///
/// With a pid namespace of its own, those are all in the namespace. Without, they are the descendants of
/// the first; one whose parent has ended is somebody else's child by then and not found.
pub(crate) fn of(init: ProcessRef, own_pid_namespace: bool) -> Vec<ProcessRef> {
    let all = pids();
    let chosen = if own_pid_namespace { in_namespace(init.pid, &all) } else { below(init.pid, &all) };
    // Those that ended meanwhile have no start time any more.
    std::iter::once(init).chain(chosen.into_iter().filter_map(|pid| ProcessRef::of(pid).ok())).collect()
}

/// Every process that /proc shows.
fn pids() -> Vec<i32> {
    let entries = sys::directory::entries(Path::new("/proc")).unwrap_or_default();
    entries.into_iter().filter_map(|entry| entry.name.to_str()?.parse().ok()).collect()
}

/// Device and inode are what tells one namespace from another: namespaces(7).
fn namespace(pid: i32) -> Option<(u64, u64)> {
    fs::metadata(format!("/proc/{pid}/ns/pid")).ok().map(|meta| (meta.dev(), meta.ino()))
}

fn in_namespace(init: i32, all: &[i32]) -> Vec<i32> {
    let Some(wanted) = namespace(init) else { return Vec::new() };
    // One that the caller may not look into is not its own.
    all.iter().copied().filter(|pid| *pid != init && namespace(*pid) == Some(wanted)).collect()
}

fn below(init: i32, all: &[i32]) -> Vec<i32> {
    let parents: HashMap<i32, i32> = all.iter().filter_map(|pid| Some((*pid, parent(*pid)?))).collect();
    let mut found = HashSet::from([init]);
    loop {
        let children = parents.iter().filter(|(_, parent)| found.contains(*parent)).map(|(pid, _)| *pid);
        let new: Vec<i32> = children.filter(|pid| !found.contains(pid)).collect();
        if new.is_empty() {
            break;
        }
        found.extend(new);
    }
    found.remove(&init);
    found.into_iter().collect()
}

fn parent(pid: i32) -> Option<i32> {
    // Its name may be anything.
    let status = fs::read(format!("/proc/{pid}/status")).ok()?;
    String::from_utf8_lossy(&status).lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn descendants_are_found_and_others_are_not() {
        let mut shell = Command::new("/bin/sh")
            // A name that is not UTF-8, as any process may give itself.
            .args(["-c", "printf '\\377\\376' >/proc/$$/comm; sleep 30 & read x; kill %1"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let init = ProcessRef::of(shell.id() as i32).unwrap();
        let mut found = Vec::new();
        for _ in 0..200 {
            found = of(init, false);
            if found.len() == 2 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0], init);
        // This test shares its namespace with the shell.
        assert!(of(init, true).iter().any(|p| p.pid == std::process::id() as i32));
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }
}
