//! Downloads images from a registry into a layout: distribution-spec, with the crate oci-client.

mod access;
mod credentials;
mod pull;
mod transfer;

pub use access::Access;
pub use pull::{PullOptions, Pulled, pull};
