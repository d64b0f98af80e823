//! Bundles from images: OCI layouts, archives, registries, and the host's busybox.
//!
//! [`unpack`] makes a bundle that any runtime runs; [`pull`] fills a layout from a registry; [`layout`] looks after one. Nothing
//! here is linked into the runtime: `cmd/rootling-image` is a program of its own.
//!
//! The crate `ocidir`, which knows layouts too, is not used: it brings OpenSSL, and opens a layout's files by path.
#![forbid(unsafe_code)]

mod archive;
mod blobs;
mod bundle;
mod busybox;
mod convert;
mod digest;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod image;
mod index;
mod inspect;
pub mod layout;
mod limits;
mod platform;
mod progress;
mod registry;
mod source;
mod stream;
mod tar;
mod tree;
mod unpack;

pub use bundle::{Bundle, clear, supervise};
pub use convert::{Defaults, annotations, defaults};
pub use digest::Digest;
pub use error::{Error, ErrorKind, Result};
pub use inspect::{Inspected, inspect};
pub use limits::{Limits, size};
pub use platform::Platform;
pub use progress::Show;
pub use registry::{Access, PullOptions, Pulled, pull};
pub use rootling_runtime::HelperIds;
pub use rootling_sys::signals::Signals;
pub use source::Source;
pub use tree::{Notes, remove};
pub use unpack::{Done as Unpacked, Work, unpack};
