//! The profile that `rootling spec` writes by default: an allow list.
//!
//! [`names`] contains what is allowed, and why; [`profile`] builds the profile for a set of capabilities, and
//! [`document`] builds it for all of them, in the form that engines take.

mod document;
mod names;
mod profile;

pub use document::default_document;
pub use profile::default_profile;

#[cfg(test)]
mod tests;
