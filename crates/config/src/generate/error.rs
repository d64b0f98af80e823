//! The error type of the generator.

use std::fmt::Display;

use crate::error::ValidateError;
use crate::limits::LimitError;

/// The values of `--security-opt`.
const SECURITY_FORMS: &str = "no-new-privileges[=BOOL], seccomp=default|unconfined|FILE, apparmor=NAME|unconfined, \
     disable, or label=disable|user:U|role:R|type:T|level:L";

/// Why no spec was generated: one line that names the flag, its value and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// A value that breaks a rule of its flag.
    #[error("--{flag} {value:?}: {problem}")]
    Flag {
        /// The flag, without its dashes.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it and what would be right.
        problem: String,
    },
    /// A limit that makes no sense.
    #[error("--{0}")]
    Resource(#[from] LimitError),
    /// The option is unknown, or its value is.
    #[error("invalid --security-opt: {value:?}{problem}; use {forms}", forms = SECURITY_FORMS)]
    SecurityOption {
        /// What was given.
        value: String,
        /// Details, if there are any; begins with a colon.
        problem: String,
    },
    /// The flags together produce a spec that breaks a rule of the specification.
    #[error(transparent)]
    Spec(#[from] ValidateError),
}

/// Makes a [`GenerateError::Flag`].
pub(super) fn wrong(flag: &'static str, value: impl Display, problem: impl Into<String>) -> GenerateError {
    GenerateError::Flag { flag, value: value.to_string(), problem: problem.into() }
}
