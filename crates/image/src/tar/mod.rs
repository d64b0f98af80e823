//! tar archives: pax, GNU and ustar (pax(1), tar(5)), read as a stream and within bounds.
//!
//! The crate `tar` has the fields of headers. The walk from header to header is here, since that crate reads the names and
//! the extended headers of an archive into memory however long the archive says that they are.

mod entry;
mod pax;
mod reader;
mod sparse;

pub(crate) use entry::{Entry, Kind, Time};
pub(crate) use reader::Reader;
