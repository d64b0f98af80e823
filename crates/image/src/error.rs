//! Adds context to errors.

use std::fmt::Display;
use std::io;

pub use rootling_runtime::{Error, ErrorKind, Result};

/// Says what failed.
pub(crate) trait Said<T> {
    /// Puts `what` in front of the error.
    fn said<D: Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<io::Error>> Said<T> for Result<T, E> {
    fn said<D: Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| of_io(error.into()).wrap(what()))
    }
}

/// Converts an error of the system, or one of ours that was passed through `std::io`.
pub(crate) fn of_io(error: io::Error) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => ours,
        Err(system) => system.into(),
    }
}

/// Wraps an error of ours to pass it through `std::io`.
pub(crate) fn to_io(error: Error) -> io::Error {
    io::Error::other(error)
}

/// Formats bytes from an archive or a registry for a one-line message.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 200;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]);
    let dots = if bytes.len() > MOST { "..." } else { "" };
    format!("{:?}{dots}", &*text)
}
