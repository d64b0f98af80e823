//! Lists the processes of a container that has no cgroup to list them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rootling_sys as sys;

use crate::process::{ProcessRef, stat};

/// The namespaces that `exec` joins, as `/proc/PID/ns` calls them.
const JOINED: [&str; 7] = ["user", "mnt", "ipc", "uts", "net", "cgroup", "time"];

/// How processes that do not descend from the first one are recognised as the container's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    /// By its pid namespace, which contains all of them.
    Pids,
    /// By its mount namespace, which is its own: a process that joins the container joins this and all other
    /// namespaces.
    Mounts,
    /// They are not recognised.
    Nothing,
}

/// All processes of the container whose first process is `init`, which comes first.
///
/// Those are the processes in its own namespaces and all their descendants, which may be in a nested pid namespace or
/// in namespaces that the caller may not look at. Without a pid namespace of its own, a process is not found if it has
/// left the container's other namespaces and its parent has ended.
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
    // Processes that ended meanwhile no longer have a start time.
    std::iter::once(init).chain(found.into_iter().filter_map(|pid| ProcessRef::of(pid).ok())).collect()
}

/// The pids of all processes that /proc shows.
fn pids() -> Vec<i32> {
    let entries = sys::directory::entries(Path::new("/proc")).unwrap_or_default();
    entries.into_iter().filter_map(|entry| entry.name.to_str()?.parse().ok()).collect()
}

/// Identifies a namespace by device and inode: namespaces(7).
fn namespace(pid: i32, kind: &str) -> Option<(u64, u64)> {
    fs::metadata(format!("/proc/{pid}/ns/{kind}")).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// The kinds of namespaces in which a process differs from the caller; none if they share the mount namespace.
fn differing(pid: i32) -> Vec<&'static str> {
    let own = std::process::id() as i32;
    let differs = |kind: &&str| {
        let namespace_of_it = namespace(pid, kind);
        namespace_of_it.is_some() && namespace_of_it != namespace(own, kind)
    };
    let kinds: Vec<_> = JOINED.into_iter().filter(differs).collect();
    if kinds.contains(&"mnt") { kinds } else { Vec::new() }
}

/// The processes that share all of these namespaces with `init`; none if no kind is given.
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
            // A name that is not UTF-8, which any process may give itself.
            .args(["-c", "printf '\\377\\376' >/proc/$$/comm; sleep 30 & read x; kill $!; wait"])
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
        // The shell has no mount namespace of its own.
        assert_eq!(of(init, Own::Mounts).len(), 2);
        // The test process shares its pid namespace with the shell.
        assert!(of(init, Own::Pids).iter().any(|p| p.pid == std::process::id() as i32));
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }
}
