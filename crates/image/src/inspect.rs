//! What an image is, wherever it is.

use crate::archive::Archive;
use crate::blobs::Blobs;
use crate::error::{Error, Result};
use crate::layout::{self, Inspected};
use crate::limits::Limits;
use crate::platform::Platform;
use crate::source::Source;

/// The manifest and the configuration of an image in a layout, or in an archive of one.
///
/// # Errors
/// Where it is of another kind, damaged, or not there.
pub fn inspect(source: &Source, platform: &Platform) -> Result<Inspected> {
    let (blobs, reference) = match source {
        Source::Layout(path, reference) => (Blobs::directory(path)?, reference),
        Source::OciArchive(path, reference) => {
            (Blobs::Archive(Archive::open(path, &std::env::temp_dir(), &Limits::default())?), reference)
        }
        other => {
            return Err(Error::invalid(format!(
                "{other} has no manifest to show: inspect one of oci: or oci-archive:, or pull the image first"
            )));
        }
    };
    layout::inspect(&blobs, reference.as_deref(), platform).map_err(|error| error.wrap(source))
}
