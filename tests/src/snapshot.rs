//! A directory tree as a value, to be compared before and after.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Every path in the tree, with everything that a change would alter.
pub type Snapshot = BTreeMap<PathBuf, String>;

/// Takes the snapshot of the tree at `dir`; links are not followed.
pub fn take(dir: &Path) -> Snapshot {
    let mut snapshot = Snapshot::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = path.symlink_metadata().expect("stat in the snapshot");
        // The contents, the target, or nothing; the time of a directory changes with its entries.
        let content = match metadata.file_type() {
            kind if kind.is_file() => fs::read(&path).map(|bytes| format!("{bytes:?}")),
            kind if kind.is_symlink() => fs::read_link(&path).map(|target| target.display().to_string()),
            _ => Ok(String::new()),
        };
        let content = content.expect("read in the snapshot");
        let (mode, uid, gid, links) = (metadata.mode(), metadata.uid(), metadata.gid(), metadata.nlink());
        let (seconds, nanoseconds, device) = (metadata.mtime(), metadata.mtime_nsec(), metadata.rdev());
        let facts = format!(
            "{mode:o} {uid}:{gid} links {links} device {device} time {seconds}.{nanoseconds} {content}"
        );
        if metadata.is_dir() {
            let entries = fs::read_dir(&path).expect("list in the snapshot");
            pending.extend(entries.map(|entry| entry.expect("entry in the snapshot").path()));
        }
        snapshot.insert(path, facts);
    }
    snapshot
}

/// The paths in the tree at `dir` that differ from `before`, each with its old and new state.
pub fn changes(dir: &Path, before: &Snapshot) -> Vec<String> {
    let after = take(dir);
    let paths: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let changed = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    let describe = |path: &PathBuf| {
        format!("{}\n  before: {:?}\n  after: {:?}", path.display(), before.get(path), after.get(path))
    };
    changed.map(describe).collect()
}

/// Asserts that the tree at `dir` is the same as `before`; `context` says what ran in between.
pub fn assert_unchanged(dir: &Path, before: &Snapshot, context: &dyn std::fmt::Display) {
    let changed = changes(dir, before);
    assert!(changed.is_empty(), "changed:\n{}\nby: {context}", changed.join("\n"));
}
