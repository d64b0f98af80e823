//! Errors with what they are about.

use std::fmt::Display;
use std::io;

pub use rootling_runtime::{Error, ErrorKind, Result};

/// Says of a failed call what it was.
pub(crate) trait Said<T> {
    /// The error, with `what` before it.
    fn said<D: Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<io::Error>> Said<T> for Result<T, E> {
    fn said<D: Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| of_io(error.into()).wrap(what()))
    }
}

/// An error of the system, or one of ours that has come through `std::io`.
pub(crate) fn of_io(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => ours,
        Err(system) => system.into(),
    }
}

/// The way of an error of ours through `std::io`.
pub(crate) fn to_io(error: Error) -> io::Error {
    io::Error::other(error)
}

/// Bytes of an archive or a registry, for a message of one line.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 200;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]);
    let dots = if bytes.len() > MOST { "..." } else { "" };
    format!("{:?}{dots}", &*text)
}
