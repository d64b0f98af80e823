//! The profile that `rootling spec` writes unless it is told otherwise: an allow list.
//!
//! What is in it, and why, is in [`names`]; [`profile`] puts it together for a set of capabilities,
//! [`document`] for all of them, as engines take it.

mod document;
mod names;
mod profile;

pub use document::default_document;
pub use profile::default_profile;

#[cfg(test)]
mod tests;
