//! Bundles from images: OCI layouts, archives, registries, and the host's busybox.
//!
//! [`unpack`] makes a bundle that any runtime can run, [`pull`] fills a layout from a registry, and [`layout`]
//! manages one. None of this is linked into the runtime: `cmd/rootling-image` is a separate program.
//!
//! The crate `ocidir`, which supports layouts as well, is not used: it depends on OpenSSL, and opens the files of a
//! layout by path.
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

pub use bundle::{Bundle, clear, remove_empty, supervise};
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
