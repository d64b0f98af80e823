//! The environment: `process.env`, as environ(7) has it.

use std::collections::HashSet;

/// Where a program is looked for when the container's environment has no `PATH`, as in runc.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why an entry of the environment was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvError {
    /// No `=`.
    #[error("process.env[{index}]: {entry:?} has no \"=\"; write NAME=VALUE")]
    NoEquals {
        /// Position in the list, from 0.
        index: usize,
        /// The entry.
        entry: String,
    },
    /// Nothing before the `=`.
    #[error("process.env[{index}]: {entry:?} has an empty name; write NAME=VALUE")]
    NoName {
        /// Position in the list, from 0.
        index: usize,
        /// The entry.
        entry: String,
    },
    /// A NUL byte.
    #[error("process.env[{index}]: the value of {name:?} contains a NUL byte; remove it")]
    Nul {
        /// Position in the list, from 0.
        index: usize,
        /// The variable's name; the value might be a secret.
        name: String,
    },
}

/// Checks every entry for the form `NAME=VALUE`.
///
/// # Errors
/// [`EnvError`] for the first entry that has another form.
pub fn check(env: &[String]) -> Result<(), EnvError> {
    for (index, entry) in env.iter().enumerate() {
        let Some((name, _)) = entry.split_once('=') else {
            return Err(EnvError::NoEquals { index, entry: entry.clone() });
        };
        if name.is_empty() {
            return Err(EnvError::NoName { index, entry: entry.clone() });
        }
        if entry.contains('\0') {
            return Err(EnvError::Nul { index, name: name.to_owned() });
        }
    }
    Ok(())
}

/// The value of `name`; of several the last, which is the one that runc keeps.
pub fn value<'a>(env: &'a [String], name: &str) -> Option<&'a str> {
    env.iter().rev().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
}

/// The environment without overridden entries: of several with one name only the last stays, and the
/// order of what stays is kept.
pub fn deduplicated(env: &[String]) -> Vec<&str> {
    let name = |entry: &'_ String| entry.find('=').unwrap_or(entry.len());
    let mut seen = HashSet::with_capacity(env.len());
    let mut kept: Vec<&str> =
        env.iter().rev().filter(|entry| seen.insert(&entry[..name(entry)])).map(String::as_str).collect();
    kept.reverse();
    kept
}

/// The directories of `PATH`, in order; an empty one means the current directory, as execvp(3) has it.
pub fn search_path(env: &[String]) -> impl Iterator<Item = &str> {
    value(env, "PATH").unwrap_or(DEFAULT_PATH).split(':').map(|dir| if dir.is_empty() { "." } else { dir })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(entries: &[&str]) -> Vec<String> {
        entries.iter().map(|entry| (*entry).to_owned()).collect()
    }

    #[test]
    fn entries_must_be_name_and_value() {
        for good in [&[][..], &["A=1", "B=", "C=x=y"]] {
            assert_eq!(check(&env(good)), Ok(()));
        }
        for (bad, expected) in [
            ("A", "process.env[1]: \"A\" has no \"=\"; write NAME=VALUE"),
            ("=A", "process.env[1]: \"=A\" has an empty name; write NAME=VALUE"),
            ("", "process.env[1]: \"\" has no \"=\"; write NAME=VALUE"),
            ("A=s\0", "process.env[1]: the value of \"A\" contains a NUL byte; remove it"),
        ] {
            assert_eq!(check(&env(&["OK=1", bad])).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn the_last_of_several_wins_and_order_is_kept() {
        let env = env(&["A=1", "AB=2", "B=3", "A=4"]);
        assert_eq!(value(&env, "A"), Some("4"));
        assert_eq!(value(&env, "AB"), Some("2"));
        assert_eq!(value(&env, "C"), None);
        assert_eq!(deduplicated(&env), ["AB=2", "B=3", "A=4"]);
    }

    #[test]
    fn programs_are_looked_for_along_path() {
        assert_eq!(search_path(&env(&["PATH=/a:/b::c"])).collect::<Vec<_>>(), ["/a", "/b", ".", "c"]);
        assert_eq!(search_path(&[]).count(), 6);
    }
}
