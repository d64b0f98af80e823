//! Device rules: `linux.resources.devices` (config-linux.md, "Allowed Device list").
//!
//! Both ways to enforce them start from the same minimal rule set, so that v1 and v2 make the same decisions.

mod filter;
pub(crate) mod program;
mod rule;
mod ruleset;

pub(crate) use filter::install;
pub(crate) use rule::{Kind, letters};
pub(crate) use ruleset::Ruleset;
