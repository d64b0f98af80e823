//! Ways in for the fuzzer (crates/fuzz): what this crate reads, without a bundle and without a registry.

use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use oci_client::secrets::RegistryAuth;
use oci_spec::image::ImageConfiguration;

use crate::digest::Digest;
use crate::error::{Result, of_io};
use crate::limits::Limits;
use crate::platform::Platform;
use crate::progress::Show;
use crate::registry;
use crate::source::Source;
use crate::stream::{self, Bounds, Stream};
use crate::tree::{Layer, Notes};
use crate::unpack::{self, Work};

/// Applies archives to an empty directory, the lowest layer first; what it has and the directory could not get. One after the
/// other, so that the first error is always the same one.
///
/// # Errors
/// Those that `unpack` would end with.
pub fn apply(root: &Path, archives: Vec<Vec<u8>>, has_whiteouts: bool, limits: Limits) -> Result<Notes> {
    let mut tree = unpack::tree(root, limits)?;
    let bounds = Bounds::new(limits);
    let count = archives.len();
    for (index, archive) in archives.into_iter().enumerate() {
        let name = format!("layer {} of {count}", index + 1);
        let source = stream::Source { blob: Box::new(Cursor::new(archive)), diff_id: None };
        let stream = Stream::start(source, bounds.clone(), None)?;
        unpack::apply(&mut tree, stream, Layer::new(index == 0, has_whiteouts), &name)?;
    }
    tree.finish()
}

/// Lets the process have as many open files as `unpack` has: each directory on the way to a file takes one.
pub fn raise_descriptors() {
    crate::limits::raise_descriptors();
}

/// An image as it is read, with its layers.
pub struct Content {
    /// As the image has it.
    pub config: ImageConfiguration,
    /// What the progress shows of all layers: their size together.
    pub size: u64,
    /// Each layer as it was promised and as it came, decompressed.
    pub layers: Vec<(Digest, Vec<u8>)>,
}

/// Reads an image with all of its layers.
///
/// # Errors
/// Those that `unpack` would end with before it makes any file.
pub fn image(source: &Source, platform: &Platform, limits: Limits, scratch: &Path) -> Result<Content> {
    let work = Work {
        source: source.clone(),
        platform: platform.clone(),
        limits,
        show: Show::Nothing,
        root: PathBuf::new(),
        scratch: scratch.to_owned(),
    };
    let image = unpack::open(&work, source)?;
    let bounds = Bounds::new(limits);
    let mut layers = Vec::new();
    for index in 0..image.layers() {
        let source = image.layer(index)?;
        let promised = source.diff_id.clone();
        let mut content = Vec::new();
        Stream::start(source, bounds.clone(), None)?.read_to_end(&mut content).map_err(of_io)?;
        layers.extend(promised.map(|digest| (digest, content)));
    }
    Ok(Content { size: image.size(), config: image.config, layers })
}

/// The name and the password that a file of credentials has for an image, unless a program would be asked for them.
///
/// # Errors
/// Those that `pull` would end with.
pub fn credentials(bytes: &[u8], registry: &str, repository: &str) -> Result<Option<(String, String)>> {
    Ok(match registry::without_helpers(bytes, registry, repository)? {
        Some(RegistryAuth::Basic(user, password)) => Some((user, password)),
        _ => None,
    })
}
