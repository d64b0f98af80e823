//! Shows details of an image from any source.

use oci_spec::image::ImageManifest;
use serde::Serialize;

use crate::archive::Archive;
use crate::blobs::{Blobs, parse};
use crate::error::{Error, Result};
use crate::image::manifest;
use crate::limits::Limits;
use crate::platform::Platform;
use crate::source::Source;

/// The details of an image, for `inspect`.
#[derive(Debug, Serialize)]
pub struct Inspected {
    /// The digest of its manifest.
    pub digest: String,
    /// Its manifest.
    pub manifest: ImageManifest,
    /// Its configuration.
    pub config: serde_json::Value,
}

/// The manifest and the configuration of an image in a layout, or in an archive of one.
///
/// # Errors
/// The image is of another kind, is damaged, or does not exist.
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
    of_blobs(&blobs, reference.as_deref(), platform).map_err(|error| error.wrap(source))
}

/// The manifest and the configuration of an image.
fn of_blobs(blobs: &Blobs, reference: Option<&str>, platform: &Platform) -> Result<Inspected> {
    let (descriptor, manifest) = manifest(blobs, reference, platform)?;
    let config = parse(&blobs.document(manifest.config())?, "the configuration of the image")?;
    Ok(Inspected { digest: descriptor.digest().to_string(), manifest, config })
}
