//! The stored inputs, which mutation starts from and which include inputs that failed once.

use std::fs;
use std::path::{Path, PathBuf};

/// The directory of a target's inputs.
pub fn directory(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// All inputs of a target with their names, ordered by name.
///
/// # Panics
/// There is no input, or one cannot be read.
pub fn load(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = directory(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort_unstable();
    assert!(!paths.is_empty(), "{}: no inputs", directory.display());
    let read = |path: PathBuf| {
        let text = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text)
    };
    paths.into_iter().map(read).collect()
}
