//! A `config.json` as one value that breaks no rule.
//!
//! The rules are those of the OCI runtime specification and of runc. Where runc has a message that callers know, its
//! words are kept, with the field before them and the remedy after them. What depends on the machine (whether the
//! root file system exists, which controllers are delegated) is checked elsewhere.

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
