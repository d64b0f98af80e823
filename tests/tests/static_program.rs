//! The programs have nothing of the name service of glibc, which would load shared libraries at run time: crates/sys,
//! `static_program.rs`.

use std::fs;
use std::path::PathBuf;

use rootling_tests::{Test, skip, user};

user!(nothing_of_the_name_service_is_linked);

/// Every static program of glibc has these, even one that does nothing: for character sets, of which the C locale, the only
/// one here, needs none.
const IN_EACH: [&str; 2] = ["dlmopen", "dlopen"];

/// What lld keeps of each function of libc.a that warns about shared libraries when it is linked.
const WARNING: &str = ".gnu.warning.";

/// What every static program of glibc contains, for the loader of libraries.
const GLIBC: &str = "GLIBC_PRIVATE";

/// A function that all of the name service goes through.
const NAME_SERVICE: &str = "__nss_database_get";

fn nothing_of_the_name_service_is_linked(t: &Test) {
    let runtime = t.binary().to_path_buf();
    let image = PathBuf::from(format!("{}-image", runtime.display()));
    for program in [runtime, image] {
        let bytes = fs::read(&program).expect("read the program");
        let found = warned_of(&bytes);
        let others: Vec<_> = found.iter().filter(|name| !IN_EACH.contains(&name.as_str())).collect();
        assert!(
            others.is_empty(),
            "{} has {others:?}: see crates/sys/src/static_program.rs",
            program.display()
        );
        // A program of musl, which has no such functions.
        if found.is_empty() && !bytes.windows(GLIBC.len()).any(|window| window == GLIBC.as_bytes()) {
            continue;
        }
        // Other linkers keep no such sections, but then there are symbols, unless it is stripped as well.
        if found.is_empty() {
            let symbols = t.command("sh").args(&["-c", "nm \"$0\""]).arg(&program).output();
            if symbols.exit() != 0 || symbols.stdout.is_empty() {
                skip(
                    "nm finds no symbols in the program, or is not installed, and there are no sections that lld keeps",
                );
                continue;
            }
            assert!(!symbols.stdout.contains(NAME_SERVICE), "{} has {NAME_SERVICE}", program.display());
        }
    }
}

/// The functions after which sections are named, sorted.
fn warned_of(bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(WARNING.len()).position(|window| window == WARNING.as_bytes()) {
        rest = &rest[at + WARNING.len()..];
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
        found.push(String::from_utf8_lossy(&rest[..end]).into_owned());
    }
    found.sort_unstable();
    found.dedup();
    found
}
