//! The processes of a container that has no cgroup to list them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rootling_sys as sys;

use crate::process::{ProcessRef, stat};

/// The namespaces that `exec` joins, as `/proc/PID/ns` calls them.
const JOINED: [&str; 7] = ["user", "mnt", "ipc", "uts", "net", "cgroup", "time"];

/// How processes that are no descendants of the first one are told from those of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    /// Its pid namespace has all of them.
    Pids,
    /// Its mount namespace is its own: what joins the container joins that and all others.
    Mounts,
    /// They are not.
    Nothing,
}

/// All processes of the container whose first one is `init`, that one first.
///
/// Those are the processes in its own namespaces, and whatever descends from these: in a pid namespace below, or with
/// namespaces that the caller may not look at. Without a pid namespace of its own, one that has left the container's other
/// namespaces and whose parent has ended is not found.
pub(crate) fn of(init: ProcessRef, own: Own) -> Vec<ProcessRef> {
    let all = pids();
    let kinds: Vec<&str> = match own {
        Own::Pids => vec!["pid"],
        Own::Mounts => differing(init.pid),
        Own::Nothing => Vec::new(),
    };
    let mut found = HashSet::from([init.pid]);
    found.extend(sharing(init.pid, &kinds, &all));
    add_descendants(&mut found, &all);
    found.remove(&init.pid);
    // Those that ended meanwhile have no start time any more.
    std::iter::once(init).chain(found.into_iter().filter_map(|pid| ProcessRef::of(pid).ok())).collect()
}

/// Every process that /proc shows.
fn pids() -> Vec<i32> {
    let entries = sys::directory::entries(Path::new("/proc")).unwrap_or_default();
    entries.into_iter().filter_map(|entry| entry.name.to_str()?.parse().ok()).collect()
}

/// Device and inode are what tells one namespace from another: namespaces(7).
fn namespace(pid: i32, kind: &str) -> Option<(u64, u64)> {
    fs::metadata(format!("/proc/{pid}/ns/{kind}")).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// The kinds of which a process has another namespace than the caller; none without one for mounts.
fn differing(pid: i32) -> Vec<&'static str> {
    let own = std::process::id() as i32;
    let differs = |kind: &&str| {
        let namespace_of_it = namespace(pid, kind);
        namespace_of_it.is_some() && namespace_of_it != namespace(own, kind)
    };
    let kinds: Vec<_> = JOINED.into_iter().filter(differs).collect();
    if kinds.contains(&"mnt") { kinds } else { Vec::new() }
}

/// The processes that are in all of these namespaces of `init`; none where none is named.
fn sharing(init: i32, kinds: &[&str], all: &[i32]) -> Vec<i32> {
    let wanted: Option<Vec<_>> = kinds.iter().map(|kind| Some((*kind, namespace(init, kind)?))).collect();
    let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else { return Vec::new() };
    let is_in = |pid: i32| wanted.iter().all(|(kind, which)| namespace(pid, kind) == Some(*which));
    all.iter().copied().filter(|pid| is_in(*pid)).collect()
}

fn add_descendants(found: &mut HashSet<i32>, all: &[i32]) {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for pid in all {
        if let Ok(stat) = stat(*pid) {
            children.entry(stat.parent).or_default().push(*pid);
        }
    }
    let mut left: Vec<i32> = found.iter().copied().collect();
    while let Some(pid) = left.pop() {
        for child in children.remove(&pid).unwrap_or_default() {
            if found.insert(child) {
                left.push(child);
            }
        }
    }
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
            found = of(init, Own::Nothing);
            if found.len() == 2 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0], init);
        // It has no namespaces for mounts of its own.
        assert_eq!(of(init, Own::Mounts).len(), 2);
        // This test shares its namespace with the shell.
        assert!(of(init, Own::Pids).iter().any(|p| p.pid == std::process::id() as i32));
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }
}
