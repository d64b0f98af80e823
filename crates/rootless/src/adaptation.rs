//! One change to a spec, with its reason.

use std::fmt;

/// A change made to a spec, or something that the caller should know about a part that was left unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adaptation {
    /// What was changed, naming the field.
    pub what: String,
    /// Why it was necessary, with the remedy if there is one.
    pub why: String,
    /// Whether the container loses something that its author asked for, which is worth showing without `--debug`.
    pub warning: bool,
}

impl Adaptation {
    pub(crate) fn note(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into(), warning: false }
    }

    pub(crate) fn warning(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into(), warning: true }
    }
}

impl fmt::Display for Adaptation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}
