//! Room 1, Host: the caller's file systems are in reach. Everything that the container needs of them is opened here, as
//! descriptors and detached trees. Of the image nothing is executed, and nothing is looked up but by openat2(2) below a
//! descriptor.

mod begin;
mod devices;
pub(crate) mod filesystems;
mod hooked;
pub mod join;
pub(crate) mod namespaces;
mod prepared;
pub(crate) mod private_root;
pub(crate) mod sources;
mod unmasked_proc;

/// Addresses of network devices that were moved, by their names.
pub(crate) type Addresses = std::collections::HashMap<String, Vec<libcontainer::network::cidr::CidrAddress>>;

pub use begin::run;
pub(crate) use devices::{DeviceSource, kind, number};
use prepared::prepare;
pub(crate) use prepared::{Prepared, attributes, hierarchy};
pub(crate) use private_root::Place;
use private_root::PrivateRoot;
