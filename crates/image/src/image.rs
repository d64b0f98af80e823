//! An image, which consists of its configuration and its layers, from any source: image-spec manifest.md, and
//! Docker's archive format.

use std::io::Read;

use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};
use serde::Deserialize;

use crate::archive::Archive;
use crate::blobs::{Blobs, digest_of, parse};
use crate::digest::{Digest, check};
use crate::error::{Error, Result};
use crate::index::{choose, index, is_called, is_index};
use crate::limits::MOST_DOCUMENT;
use crate::platform::Platform;
use crate::stream::Source;

/// How deep indexes may be nested.
const DEEPEST: usize = 4;

/// An image that can be unpacked.
pub(crate) struct Image {
    /// The configuration, as the image has it.
    pub(crate) config: ImageConfiguration,
    layers: Vec<Layer>,
    files: Files,
}

enum Files {
    Layout(Blobs),
    Docker(Archive),
}

/// A layer, with the digest of its archive.
struct Layer {
    place: Place,
    size: u64,
    diff_id: Digest,
}

enum Place {
    Blob(Box<Descriptor>),
    File(String),
}

impl Image {
    /// The image in a layout that `reference` names.
    pub(crate) fn of_layout(blobs: Blobs, reference: Option<&str>, platform: &Platform) -> Result<Self> {
        let (descriptor, manifest) = manifest(&blobs, reference, platform)?;
        let bytes = blobs.document(manifest.config())?;
        let config = configuration(&bytes)?;
        // What an index says of it has been compared.
        if descriptor.platform().is_none() {
            platform.check(&config)?;
        }
        let diff_ids = diff_ids(&config, manifest.layers().len())?;
        let layers = manifest.layers().iter().zip(diff_ids).map(|(descriptor, diff_id)| {
            check_layer(descriptor)?;
            Ok(Layer { place: Place::Blob(Box::new(descriptor.clone())), size: descriptor.size(), diff_id })
        });
        let layers = layers.collect::<Result<_>>()?;
        Ok(Self { config, layers, files: Files::Layout(blobs) })
    }

    /// The image in an archive of `docker save`.
    pub(crate) fn of_docker(archive: Archive, reference: Option<&str>, platform: &Platform) -> Result<Self> {
        let images: Vec<Saved> =
            parse(&archive.read("manifest.json", MOST_DOCUMENT)?, "manifest.json of the archive")?;
        let saved = choose_saved(images, reference)?;
        let bytes = archive.read(&saved.config, MOST_DOCUMENT)?;
        let stem = saved.config.rsplit('/').next().unwrap_or_default().split('.').next().unwrap_or_default();
        // The file is named after its digest.
        if let Ok(wanted) = format!("sha256:{stem}").parse::<Digest>() {
            check(&wanted, &Digest::of(&bytes))?;
        }
        let config = configuration(&bytes)?;
        platform.check(&config)?;
        let diff_ids = diff_ids(&config, saved.layers.len())?;
        let layers = saved.layers.into_iter().zip(diff_ids).map(|(name, diff_id)| {
            let (_, size) = archive.file(&name)?;
            Ok(Layer { place: Place::File(name), size, diff_id })
        });
        let layers = layers.collect::<Result<_>>()?;
        Ok(Self { config, layers, files: Files::Docker(archive) })
    }

    /// The number of layers.
    pub(crate) fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Bytes of all layers, compressed, as their descriptors have them: together they may be more than a number can be.
    pub(crate) fn size(&self) -> u64 {
        self.layers.iter().fold(0, |all, layer| all.saturating_add(layer.size))
    }

    /// The name of a layer for display, and its size.
    pub(crate) fn name(&self, index: usize) -> (String, u64) {
        let layer = &self.layers[index];
        (layer.diff_id.short().to_owned(), layer.size)
    }

    /// Which of the layers one is, for messages.
    pub(crate) fn place(&self, index: usize) -> String {
        format!("layer {} of {}", index + 1, self.layers.len())
    }

    /// A layer, to be decompressed.
    pub(crate) fn layer(&self, index: usize) -> Result<Source> {
        let layer = &self.layers[index];
        let blob: Box<dyn Read + Send> = match (&layer.place, &self.files) {
            (Place::Blob(descriptor), Files::Layout(blobs)) => Box::new(blobs.blob(descriptor)?),
            (Place::File(name), Files::Docker(archive)) => Box::new(archive.file(name)?.0),
            _ => return Err(Error::system("a layer is not where its image is")),
        };
        Ok(Source { blob, diff_id: Some(layer.diff_id.clone()) })
    }
}

/// The manifest that `reference` leads to, with its descriptor.
pub(crate) fn manifest(
    blobs: &Blobs,
    reference: Option<&str>,
    platform: &Platform,
) -> Result<(Descriptor, ImageManifest)> {
    let mut descriptor = choose(&index(blobs)?, reference, platform)?;
    for _ in 0..DEEPEST {
        let bytes = blobs.document(&descriptor)?;
        if is_index(&descriptor) {
            let index: ImageIndex = parse(&bytes, "an index of the image")?;
            descriptor = platform.choose(&index, "the image")?.clone();
            continue;
        }
        let manifest: ImageManifest = parse(&bytes, "the manifest of the image")?;
        return Ok((descriptor, manifest));
    }
    Err(Error::invalid(
        "the image is an index of indexes of indexes, deeper than 4: name its manifest by its digest",
    ))
}

/// Fails for a layer that is not an archive, or is stored elsewhere.
fn check_layer(descriptor: &Descriptor) -> Result<()> {
    let kind = descriptor.media_type().to_string();
    digest_of(descriptor)?;
    if kind.contains("foreign") || descriptor.urls().as_ref().is_some_and(|urls| !urls.is_empty()) {
        return Err(Error::invalid(format!(
            "layer {}: it is not part of the image, which only says where it is (media type {kind}): use another image",
            descriptor.digest()
        )));
    }
    if kind.contains("tar") && !kind.contains("encrypted") {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "layer {}: of the media type {kind}, which is not a file system: this is not the image of a container",
        descriptor.digest()
    )))
}

fn configuration(bytes: &[u8]) -> Result<ImageConfiguration> {
    let config: ImageConfiguration = parse(bytes, "the configuration of the image")?;
    if config.os().to_string() != "linux" {
        return Err(Error::invalid(format!(
            "the image is one for {}, not for linux: choose another with --platform",
            config.os()
        )));
    }
    Ok(config)
}

fn diff_ids(config: &ImageConfiguration, layers: usize) -> Result<Vec<Digest>> {
    let ids = config.rootfs().diff_ids();
    if ids.len() != layers {
        return Err(Error::invalid(format!(
            "the image has {layers} layers, and {} by its configuration (rootfs.diff_ids): it is damaged; get it again",
            ids.len()
        )));
    }
    ids.iter().map(|id| id.parse()).collect()
}

/// An image in the `manifest.json` of an archive.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

fn choose_saved(images: Vec<Saved>, reference: Option<&str>) -> Result<Saved> {
    let tags = |image: &Saved| image.repo_tags.clone().unwrap_or_default();
    let all: Vec<String> = images.iter().flat_map(tags).collect();
    let count = images.len();
    let mut fitting = images.into_iter().filter(|image| match reference {
        None => true,
        Some(wanted) => tags(image).iter().any(|tag| is_called(tag, wanted)),
    });
    match (fitting.next(), fitting.next()) {
        (Some(image), None) => Ok(image),
        (None, _) if count == 0 => Err(Error::invalid("the archive has no image")),
        (found, _) => Err(Error::invalid(format!(
            "the archive has {}: name one of {}",
            if found.is_some() { "several images" } else { "no image of that name" },
            if all.is_empty() { "none, since they have no names".to_owned() } else { all.join(", ") }
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(tags: &[&str]) -> Saved {
        let config = tags.concat();
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        Saved { config, repo_tags: Some(tags), layers: Vec::new() }
    }

    #[test]
    fn a_saved_image_is_chosen_by_its_name() {
        let images = || vec![saved(&["docker.io/library/a:latest"]), saved(&["host:5000/b:1"])];
        for (name, config) in [("a", "docker.io/library/a:latest"), ("host:5000/b:1", "host:5000/b:1")] {
            assert_eq!(choose_saved(images(), Some(name)).expect("an image").config, config);
        }
        assert!(choose_saved(images(), None).expect_err("two").to_string().contains("host:5000/b:1"));
        assert!(
            choose_saved(images(), Some("c"))
                .expect_err("none")
                .to_string()
                .contains("no image of that name")
        );
        assert!(choose_saved(vec![saved(&[])], None).is_ok());
    }

    #[test]
    fn sizes_that_no_image_has_are_shown_as_the_largest() {
        let dir = tempfile::tempdir().expect("a directory");
        let layer = || Layer { place: Place::File("x".into()), size: u64::MAX, diff_id: Digest::of(b"x") };
        let image = Image {
            config: ImageConfiguration::default(),
            layers: vec![layer(), layer()],
            files: Files::Layout(Blobs::directory(dir.path()).expect("a layout")),
        };
        assert_eq!(image.size(), u64::MAX);
    }
}
