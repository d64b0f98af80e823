//! Room 1, Host: the caller's file systems are within reach. Everything that the container needs from them is opened
//! here, as descriptors and detached trees. Nothing of the image is executed, and nothing of it is looked up except by
//! openat2(2) below a descriptor.

mod begin;
mod devices;
mod hooked;
pub mod join;
mod namespaces;
mod prepare;
mod private_root;
pub(crate) mod sources;
mod unmasked_proc;

pub use begin::{ChildEnd, run};
#[cfg(feature = "fuzzing")]
pub(crate) use unmasked_proc::to_be_covered;
