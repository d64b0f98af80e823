//! The error type of validation.

use std::path::Path;

use crate::idmap::IdmapError;
use crate::limits::LimitError;
use crate::mounts::MountError;
use crate::namespaces::NamespaceError;
use crate::process::env::EnvError;
use crate::process::memory_policy::MemoryPolicyError;
use crate::process::personality::UnknownFlag;
use crate::process::rlimit::RlimitError;
use crate::process::scheduling::SchedulingError;
use crate::seccomp::SeccompError;

/// Why a spec is not valid: one line that names field, value and remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValidateError {
    /// A field that breaks a rule of its own.
    #[error("{field}: {problem}; {remedy}")]
    Field {
        /// The field's path, such as `process.cwd`.
        field: String,
        /// Its value and the rule that it breaks.
        problem: String,
        /// What to write instead.
        remedy: String,
    },
    /// `linux.namespaces`.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// `mounts`.
    #[error("mounts[{index}]: {error}")]
    Mount {
        /// Position in the list, from 0.
        index: usize,
        /// What is wrong with it.
        error: MountError,
    },
    /// An id map; the prefix says whose.
    #[error("{owner}.{error}")]
    Idmap {
        /// `linux`, or the mount.
        owner: String,
        /// What is wrong with it.
        error: IdmapError,
    },
    /// `process.env`.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// `process.rlimits`.
    #[error(transparent)]
    Rlimit(#[from] RlimitError),
    /// `process.scheduler` and `process.ioPriority`.
    #[error(transparent)]
    Scheduling(#[from] SchedulingError),
    /// `linux.resources`.
    #[error("linux.resources.{0}")]
    Limit(#[from] LimitError),
    /// `linux.personality`.
    #[error(transparent)]
    Personality(#[from] UnknownFlag),
    /// `linux.memoryPolicy`.
    #[error(transparent)]
    MemoryPolicy(#[from] MemoryPolicyError),
    /// `linux.seccomp`.
    #[error(transparent)]
    Seccomp(#[from] SeccompError),
}

/// Formats a path for an error: quoted and escaped, so that the message is one line whatever the path contains.
pub(crate) fn quoted(path: &Path) -> String {
    format!("{:?}", path.to_string_lossy())
}

/// Makes a [`ValidateError::Field`].
pub(crate) fn invalid(
    field: impl Into<String>,
    problem: impl Into<String>,
    remedy: impl Into<String>,
) -> ValidateError {
    ValidateError::Field { field: field.into(), problem: problem.into(), remedy: remedy.into() }
}
