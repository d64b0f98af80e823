//! Makes a root file system from the entries of archives.
//!
//! Whatever an archive says, nothing outside is opened, made, changed or removed. Every directory on the way is
//! opened by openat2(2) beneath the one before it, without following a link of any kind. Everything else is done to
//! a single name in such a directory, with calls that do not follow it either. No existing file is ever opened for
//! writing, so none can block.

mod apply;
mod attributes;
mod layer;
mod notes;
mod place;
mod remove;

pub(crate) use apply::Tree;
pub(crate) use layer::Layer;
pub use notes::Notes;
pub use remove::remove;
