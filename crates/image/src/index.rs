//! The index of a layout, which determines the image that a name stands for.

use std::collections::BTreeSet;

use oci_spec::image::{Descriptor, ImageIndex, MediaType};
use serde::Deserialize;

use crate::blobs::{Blobs, parse};
use crate::error::{Error, Result};
use crate::platform::Platform;

/// The annotation that names an image in a layout.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The corresponding annotation of containerd and `docker save`, which includes the name of the repository.
pub(crate) const FULL_NAME: &str = "io.containerd.image.name";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

/// Reads the index of a layout.
pub(crate) fn index(blobs: &Blobs) -> Result<ImageIndex> {
    if !blobs.has("oci-layout")? {
        return Err(Error::invalid(
            "is not an image layout, because it has no file oci-layout: name another, or make one with `rootling image pull`",
        ));
    }
    let marker: Marker = parse(&blobs.read("oci-layout")?, "oci-layout")?;
    if !marker.image_layout_version.starts_with("1.") {
        return Err(Error::invalid(format!(
            "oci-layout: version {:?} of the layout is not known, only 1.0.0 is",
            marker.image_layout_version
        )));
    }
    parse(&blobs.read("index.json")?, "index.json of the layout")
}

pub(crate) fn names(descriptor: &Descriptor) -> impl Iterator<Item = &str> {
    let annotations = descriptor.annotations().as_ref();
    let get = move |key| annotations.and_then(|all| all.get(key)).map(String::as_str);
    let full = get(FULL_NAME).filter(|full| get(REF_NAME) != Some(full));
    // An empty one could not be asked for.
    get(REF_NAME).into_iter().chain(full).filter(|name| !name.is_empty())
}

/// The image with this name or digest; without a `reference`, the only image.
pub(crate) fn choose(index: &ImageIndex, reference: Option<&str>, platform: &Platform) -> Result<Descriptor> {
    let is_wanted = |descriptor: &&Descriptor| match reference {
        None => true,
        Some(wanted) => {
            descriptor.digest().to_string() == wanted
                || names(descriptor).any(|name| name == wanted || is_called(name, wanted))
        }
    };
    let fitting: Vec<&Descriptor> = index.manifests().iter().filter(is_wanted).collect();
    let all: BTreeSet<&str> = index.manifests().iter().flat_map(names).collect();
    let all = if all.is_empty() {
        "their digests".to_owned()
    } else {
        all.into_iter().collect::<Vec<_>>().join(", ")
    };
    match (fitting.as_slice(), reference) {
        ([one], _) => Ok((*one).clone()),
        ([], None) => Err(Error::invalid("the layout has no image")),
        ([], Some(wanted)) => {
            Err(Error::invalid(format!("the layout has no image {wanted:?}: name one of {all}")))
        }
        // Listed more than once.
        ([first, others @ ..], _) if others.iter().all(|other| other.digest() == first.digest()) => {
            Ok((*first).clone())
        }
        // The same name stands for several platforms.
        (several, _) if several.iter().all(|one| one.platform().is_some()) && same_name(several) => {
            let mut of_name = ImageIndex::default();
            of_name.set_manifests(several.iter().map(|one| (*one).clone()).collect());
            platform.choose(&of_name, "the layout").cloned()
        }
        (several, reference) => {
            let digests =
                || several.iter().map(|one| one.digest().to_string()).collect::<Vec<_>>().join(", ");
            let all = if reference.is_some() { digests() } else { all };
            Err(Error::invalid(format!(
                "the layout has {} images to choose from: name one of {all}",
                several.len()
            )))
        }
    }
}

fn same_name(several: &[&Descriptor]) -> bool {
    let of_each: BTreeSet<Vec<&str>> = several.iter().map(|one| names(one).collect()).collect();
    of_each.len() == 1
}

/// Whether the descriptor describes an index, of either kind.
pub(crate) fn is_index(descriptor: &Descriptor) -> bool {
    *descriptor.media_type() == MediaType::ImageIndex
        || descriptor.media_type().to_string() == "application/vnd.docker.distribution.manifest.list.v2+json"
}

/// Whether a tag matches what was typed, which may lack the tag `latest` and Docker's default registry.
pub(crate) fn is_called(tag: &str, wanted: &str) -> bool {
    let short = |name: &str| {
        let name = name.strip_prefix("docker.io/").unwrap_or(name);
        let name = name.strip_prefix("library/").unwrap_or(name);
        let last = name.rsplit('/').next().unwrap_or_default();
        if last.contains(':') || last.contains('@') { name.to_owned() } else { format!("{name}:latest") }
    };
    short(tag) == short(wanted)
}
