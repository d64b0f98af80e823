//! What the programs of this project have in common: global options, the log, the location of the state, and the
//! flags that make a configuration.
//!
//! `rootling spec` and `rootling image unpack` take the same flags with the same meaning from this crate.
#![forbid(unsafe_code)]

pub mod caller;
pub mod global;
pub mod log;
pub mod namespaces;
pub mod request;
pub mod roots;
mod spec_flags;
pub mod terminal;

pub use spec_flags::{Limits, SpecFlags};
