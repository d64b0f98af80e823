//! Container ids.
//!
//! An id names a directory in the state directory, a cgroup and a systemd unit, so it is checked against runc's
//! alphabet before it is used for any of them.

use std::fmt;
use std::path::Path;

/// The longest id accepted, in bytes: an id is the name of a directory (`NAME_MAX`, limits.h).
pub const MAX_LEN: usize = 255;

/// How much of a bad id an error repeats: enough to recognise it, too little to flood a log.
const SHOWN: usize = 40;

/// A container id that is safe as one component of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(String);

/// Why an id was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Nothing was given.
    #[error("container id is empty; give a name made of letters, digits and _ + - .")]
    Empty,
    /// Longer than [`MAX_LEN`].
    #[error("container id {shown:?} has {len} bytes; use at most {MAX_LEN}")]
    TooLong {
        /// The beginning of the id.
        shown: String,
        /// Its length in bytes.
        len: usize,
    },
    /// A character outside the alphabet.
    #[error("container id {shown:?} contains {found:?}; use only letters, digits and _ + - .")]
    Character {
        /// The beginning of the id.
        shown: String,
        /// The first character that is not allowed.
        found: char,
    },
    /// `.` or `..`.
    #[error("container id {shown:?} is a directory name with a special meaning; use another name")]
    Reserved {
        /// The id.
        shown: String,
    },
}

impl ContainerId {
    /// Checks `id` against runc's rule: `[A-Za-z0-9_+.-]+`, neither `.` nor `..`, at most [`MAX_LEN`] bytes.
    ///
    /// # Errors
    /// [`IdError`] says which part of the rule was broken.
    pub fn parse(id: &str) -> Result<Self, IdError> {
        if id.is_empty() {
            return Err(IdError::Empty);
        }
        if id.len() > MAX_LEN {
            return Err(IdError::TooLong { shown: shorten(id), len: id.len() });
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-' | '.');
        if let Some(found) = id.chars().find(|c| !allowed(*c)) {
            return Err(IdError::Character { shown: shorten(id), found });
        }
        if id == "." || id == ".." {
            return Err(IdError::Reserved { shown: id.to_owned() });
        }
        Ok(Self(id.to_owned()))
    }

    /// The id as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn shorten(id: &str) -> String {
    match id.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &id[..end]),
        None => id.to_owned(),
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ContainerId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl AsRef<Path> for ContainerId {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl std::str::FromStr for ContainerId {
    type Err = IdError;

    fn from_str(id: &str) -> Result<Self, IdError> {
        Self::parse(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runcs_alphabet_is_accepted() {
        for id in ["web", "a", "A-b_c+d.e", "0", "...", ".hidden", "-dash", &"x".repeat(MAX_LEN)] {
            assert_eq!(ContainerId::parse(id).expect(id).as_str(), id);
        }
    }

    #[test]
    fn what_could_leave_the_state_directory_is_refused() {
        for id in ["", ".", "..", "a/b", "../x", "a b", "a\0b", "a\nb", "ä", "a:b", "a\\b"] {
            assert!(ContainerId::parse(id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn errors_show_a_short_value_and_the_rule() {
        let long = ContainerId::parse(&"x".repeat(MAX_LEN + 1)).unwrap_err().to_string();
        assert_eq!(long, format!("container id \"{}...\" has 256 bytes; use at most 255", "x".repeat(40)));
        let slash = ContainerId::parse("a/b").unwrap_err().to_string();
        assert_eq!(slash, "container id \"a/b\" contains '/'; use only letters, digits and _ + - .");
    }
}
