//! Reads tar archives in the formats pax, GNU and ustar (pax(1), tar(5)), as a stream and within limits.
//!
//! The crate `tar` parses the fields of headers. Walking from header to header is done here, since that crate reads
//! names and extended headers into memory, however long the archive says that they are.

mod entry;
mod pax;
mod reader;
mod sparse;

pub(crate) use entry::{Entry, Kind, Time};
pub(crate) use reader::Reader;
