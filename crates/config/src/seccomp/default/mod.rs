//! The profile that `rootling spec` writes unless it is told otherwise: an allow list.
//!
//! What is in it, and why, is in [`names`]; [`profile`] puts it together for a set of capabilities.

mod names;
mod profile;

pub use profile::default_profile;

#[cfg(test)]
mod tests;
