//! A root file system that is made from the entries of archives.
//!
//! Whatever an archive says, nothing outside is opened, made, changed or removed: every directory on the way is opened by
//! openat2(2) beneath the one before it, without following a link of any kind, and everything else is done to one name in such a
//! directory, by calls that do not follow it either. No file that was there is ever opened for writing, so that none can block.

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
