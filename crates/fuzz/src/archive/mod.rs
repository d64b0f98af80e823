//! Archives from documents: what a document says, in the bytes of tar(5).
//!
//! Mutation changes documents by their structure, and so every document is an archive: what is missing has its usual value, and
//! a value of another type than the usual one goes into its field as the bytes that it is.
//!
//! ```json
//! {"entries": [
//!     {"name": "bin/su", "mode": 2541, "data": "content", "pax": {"SCHILY.xattr.user.a": "b"}},
//!     {"name": "su", "type": "1", "link": "bin/su"},
//!     {"name": "odd", "size": 9000, "checksum": 0, "header": {"257": "ustar"}}],
//!  "compression": "gzip", "end": 2, "tail": "", "cut": 0}
//! ```

mod bytes;
mod entry;
mod layer;
mod sparse;

pub(crate) use bytes::{bytes, number};
pub(crate) use layer::{Layer, layers};
