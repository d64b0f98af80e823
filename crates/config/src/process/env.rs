//! The environment: `process.env`, in the form of environ(7).

use std::collections::HashSet;
use std::ffi::CString;

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

/// The environment in the form that the kernel takes. Each entry is checked for the form `NAME=VALUE`. If several
/// have the same name, only the last is kept; the order is preserved.
///
/// # Errors
/// [`EnvError`] for the first entry that has another form.
pub fn parse(env: &[String]) -> Result<Vec<CString>, EnvError> {
    let mut entries = Vec::with_capacity(env.len());
    for (index, entry) in env.iter().enumerate() {
        let Some((name, _)) = entry.split_once('=') else {
            return Err(EnvError::NoEquals { index, entry: entry.clone() });
        };
        if name.is_empty() {
            return Err(EnvError::NoName { index, entry: entry.clone() });
        }
        let whole = CString::new(entry.as_str());
        entries.push((name, whole.map_err(|_| EnvError::Nul { index, name: name.to_owned() })?));
    }
    let mut seen = HashSet::with_capacity(env.len());
    let mut kept: Vec<_> =
        entries.into_iter().rev().filter(|(name, _)| seen.insert(*name)).map(|(_, whole)| whole).collect();
    kept.reverse();
    Ok(kept)
}

/// Sets a variable to a number.
pub fn set(env: &mut Vec<CString>, name: &str, value: u32) {
    let before = format!("{name}=");
    env.retain(|entry| !entry.as_bytes().starts_with(before.as_bytes()));
    env.extend(CString::new(before + &value.to_string()));
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
            let kept = good.iter().map(|entry| CString::new(*entry).unwrap()).collect();
            assert_eq!(parse(&env(good)), Ok(kept));
        }
        for (bad, expected) in [
            ("A", "process.env[1]: \"A\" has no \"=\"; write NAME=VALUE"),
            ("=A", "process.env[1]: \"=A\" has an empty name; write NAME=VALUE"),
            ("", "process.env[1]: \"\" has no \"=\"; write NAME=VALUE"),
            ("A=s\0", "process.env[1]: the value of \"A\" contains a NUL byte; remove it"),
        ] {
            assert_eq!(parse(&env(&["OK=1", bad])).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn the_last_of_several_wins_and_order_is_kept() {
        let mut env = parse(&env(&["A=1", "AB=2", "B=3", "A=4"])).unwrap();
        assert_eq!(env, [c"AB=2".to_owned(), c"B=3".to_owned(), c"A=4".to_owned()]);
        set(&mut env, "A", 5);
        set(&mut env, "C", 6);
        assert_eq!(env, [c"AB=2", c"B=3", c"A=5", c"C=6"].map(ToOwned::to_owned));
    }
}
