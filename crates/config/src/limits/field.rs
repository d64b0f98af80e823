//! What all fields have in common.

use std::fmt::{self, Display};

/// Why a limit was refused: the field, its value and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {value} {problem}")]
#[non_exhaustive]
pub struct LimitError {
    /// The field below `linux.resources`, or the flag.
    pub field: &'static str,
    /// What was asked for.
    pub value: String,
    /// What is wrong with it and what would be right.
    pub problem: String,
}

pub(crate) fn refuse(field: &'static str, value: impl Display, problem: impl Into<String>) -> LimitError {
    LimitError { field, value: format!("{value}"), problem: problem.into() }
}

/// A version of cgroups, cgroups(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy for each controller.
    V1,
    /// A single hierarchy.
    V2,
}

/// An upper bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// There is no bound.
    Unlimited,
    /// At most this much.
    At(u64),
}

impl Bound {
    /// Whether it restricts anything.
    pub const fn is_limit(self) -> bool {
        matches!(self, Self::At(_))
    }

    /// Converts a value for which 0 means "not set" and any negative number means "no limit".
    pub(super) fn of(value: Option<i64>) -> Option<Self> {
        match value? {
            0 => None,
            value => Some(u64::try_from(value).map_or(Self::Unlimited, Self::At)),
        }
    }
}

/// Written as in the specification: -1 means no limit.
impl Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("-1"),
            Self::At(value) => value.fmt(f),
        }
    }
}

/// A limit and the controller that it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The controller's version 2 name.
    pub controller: String,
    /// The field and its value.
    pub limit: String,
}

impl Ask {
    pub(super) fn of(field: Field, version: Version) -> Option<Self> {
        // Files of the core exist in every cgroup.
        if field.controller == CORE || version == Version::V2 && field.not_on_v2.is_some() {
            return None;
        }
        let limit = format!("linux.resources.{} {}", field.name, field.value);
        Some(Self { controller: field.controller, limit: limit.trim_end().to_owned() })
    }
}

/// The prefix of the names of files that belong to no controller.
pub(super) const CORE: &str = "cgroup";

/// One value that is set.
pub(super) struct Field {
    controller: String,
    pub(super) name: String,
    value: String,
    pub(super) is_limit: bool,
    /// Why it does not exist in cgroup v2.
    pub(super) not_on_v2: Option<&'static str>,
}

impl Field {
    #[allow(clippy::needless_pass_by_value)] // Numbers and texts read best by value.
    pub(super) fn limit(controller: &str, name: impl Into<String>, value: impl ToString) -> Self {
        let value = value.to_string();
        Self { controller: controller.to_owned(), name: name.into(), value, is_limit: true, not_on_v2: None }
    }

    pub(super) fn bound(controller: &str, name: &str, value: Bound) -> Self {
        Self::limit(controller, name, value).if_limit(value.is_limit())
    }

    pub(super) fn if_limit(self, is_limit: bool) -> Self {
        Self { is_limit, ..self }
    }

    pub(super) fn not_on_v2(self, why: impl Into<Option<&'static str>>) -> Self {
        Self { not_on_v2: why.into(), ..self }
    }
}

/// Converts a number of bytes, for which 0 means "not set" and -1 means "no limit".
pub(super) fn bytes(field: &'static str, value: Option<i64>) -> Result<Option<Bound>, LimitError> {
    match value {
        Some(value) if value < -1 => Err(refuse(field, value, "is negative; use -1 for no limit")),
        value => Ok(Bound::of(value)),
    }
}

/// An idle group has no weight, and the kernel refuses to set one.
pub(super) const NO_WEIGHT: &str = "unable to apply both cpu.weight and cpu.idle";
