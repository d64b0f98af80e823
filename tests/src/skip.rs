//! Skips tests, but never silently.

use std::fs::OpenOptions;
use std::io::Write;
use std::thread;

/// Prints why the calling test does not run here. Rust's test runners have no skipped tests, so the reason is also
/// appended to the file that `ROOTLING_TEST_SKIPS` names, for the summary.
pub fn skip(why: &str) {
    let test = thread::current().name().unwrap_or("test").to_owned();
    eprintln!("skipped: {test}: {why}");
    if let Some(file) = std::env::var_os("ROOTLING_TEST_SKIPS") {
        let line = format!("{why}\t{test}\n");
        // Appended with a single write, so that lines of tests running in parallel do not mix.
        let written = OpenOptions::new()
            .append(true)
            .create(true)
            .open(file)
            .and_then(|mut file| file.write_all(line.as_bytes()));
        written.expect("write to ROOTLING_TEST_SKIPS");
    }
}
