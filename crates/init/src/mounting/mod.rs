//! What two rooms use to mount: Building, and Host if hooks see the complete root. All of it works on descriptors, and
//! looks up paths of the image below one.

pub(crate) mod bind_flags;
mod copy;
pub(crate) mod devices;
pub(crate) mod filesystems;
pub(crate) mod flags;
pub(crate) mod hints;
pub(crate) mod image;
pub(crate) mod mounts;
pub(crate) mod prepared;
pub(crate) mod resolve;
