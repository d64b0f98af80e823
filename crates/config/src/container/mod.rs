//! A `config.json` as one value that breaks no rule.
//!
//! The rules are the OCI runtime specification's and runc's; where runc has a message that callers
//! know, its words are kept, with the field in front and the remedy behind. What depends on the
//! machine (does the root filesystem exist, which controllers are delegated) is checked elsewhere.

mod devices;
mod idmaps;
mod linux;
mod mounts;
mod namespaces;
mod nul;
mod parse;
mod process;
mod sysctl;

pub use self::parse::{Container, Root, annotations, no_process, warnings};
pub use self::process::{Affinity, Process};
pub use crate::error::ValidateError;

#[cfg(test)]
mod tests;
