//! Downloads images from a registry into a layout: distribution-spec, with the crate oci-client.

mod access;
mod credentials;
mod pull;
mod transfer;

pub use access::Access;
#[cfg(feature = "fuzzing")]
pub(crate) use credentials::without_helpers;
pub use pull::{PullOptions, Pulled, pull};
