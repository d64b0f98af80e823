//! What is wrong with a spec whatever the host.
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
mod process;
mod rules;
mod sysctl;

pub use self::process::process;
pub use self::rules::{annotations, no_process, spec, warnings};
pub use crate::error::ValidateError;

#[cfg(test)]
mod tests;
