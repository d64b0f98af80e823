//! OCI image layouts, image-spec image-layout.md: their contents, and what is no longer needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::Path;

use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};
use serde::Serialize;

use crate::blobs::{Blobs, parse};
use crate::digest::Digest;
use crate::error::{Error, Result, Said};
use crate::index::{REF_NAME, index, is_index, names};
use crate::platform::shown;

/// An image in a layout, for `list`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// Its names.
    pub names: Vec<String>,
    /// The digest of its manifest or index.
    pub digest: String,
    /// The platforms of all its images, as `OS/ARCHITECTURE[/VARIANT]`.
    pub platforms: Vec<String>,
    /// The size of its manifest and everything that it lists, in bytes.
    pub size: u64,
}

/// Lists all images in a layout.
///
/// # Errors
/// The directory is not a layout, or the layout is damaged.
pub fn list(dir: &Path) -> Result<Vec<Listed>> {
    let blobs = Blobs::directory(dir)?;
    let one = |descriptor: &Descriptor| {
        let mut reached = BTreeMap::new();
        let mut platforms = BTreeSet::new();
        reach(&blobs, descriptor, 0, &mut reached, &mut platforms)?;
        Ok(Listed {
            names: names(descriptor).map(str::to_owned).collect(),
            digest: descriptor.digest().to_string(),
            platforms: platforms.into_iter().collect(),
            size: reached.values().sum(),
        })
    };
    index(&blobs)?.manifests().iter().map(one).collect()
}

/// Collects the blobs that a descriptor leads to, with their sizes. Images in an index that are missing, as after
/// pulling a single platform, lead nowhere.
fn reach(
    blobs: &Blobs,
    descriptor: &Descriptor,
    depth: usize,
    reached: &mut BTreeMap<Digest, u64>,
    platforms: &mut BTreeSet<String>,
) -> Result<()> {
    let digest = crate::blobs::digest_of(descriptor)?;
    if depth > 8 || blobs.file(&format!("blobs/{}", digest.path())).is_err() {
        return Ok(());
    }
    reached.insert(digest, descriptor.size());
    let bytes = blobs.document(descriptor)?;
    if is_index(descriptor) {
        let index: ImageIndex = parse(&bytes, "an index of the layout")?;
        return index
            .manifests()
            .iter()
            .try_for_each(|below| reach(blobs, below, depth + 1, reached, platforms));
    }
    let manifest: ImageManifest = parse(&bytes, "a manifest of the layout")?;
    for blob in manifest.layers().iter().chain([manifest.config()]) {
        reached.insert(crate::blobs::digest_of(blob)?, blob.size());
    }
    if let Some(platform) = descriptor.platform() {
        platforms.insert(shown(platform));
    } else {
        let config: Option<ImageConfiguration> =
            blobs.document(manifest.config()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        platforms.extend(config.map(|config| format!("{}/{}", config.os(), config.architecture())));
    }
    Ok(())
}

/// What `gc` has removed.
#[derive(Debug, Default, Serialize)]
pub struct Collected {
    /// The number of blobs and partial blobs.
    pub blobs: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Removes the blobs that no image in the layout needs, and what is left of interrupted transfers.
///
/// # Errors
/// The layout is damaged; nothing is removed then.
pub fn collect(dir: &Path) -> Result<Collected> {
    let _lock = lock(dir)?;
    let blobs = Blobs::directory(dir)?;
    let mut reached = BTreeMap::new();
    for descriptor in index(&blobs)?.manifests() {
        reach(&blobs, descriptor, 0, &mut reached, &mut BTreeSet::new())?;
    }
    let mut collected = Collected::default();
    for algorithm in ["sha256", "sha512"] {
        let below = dir.join("blobs").join(algorithm);
        let Ok(entries) = rootling_sys::directory::entries(&below) else { continue };
        for entry in entries.iter().filter(|entry| !entry.is_directory) {
            let needed =
                entry.name.to_str().and_then(|name| format!("{algorithm}:{name}").parse::<Digest>().ok());
            if needed.is_some_and(|digest| reached.contains_key(&digest)) {
                continue;
            }
            let path = below.join(&entry.name);
            let size = fs::symlink_metadata(&path).map_or(0, |found| found.len());
            fs::remove_file(&path).said(|| format!("{path:?}"))?;
            collected.blobs += 1;
            collected.bytes += size;
        }
    }
    Ok(collected)
}

/// Makes a directory a layout if it is not one yet. Existing contents are kept.
pub(crate) fn ensure(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir.join("blobs/sha256")).said(|| format!("{dir:?}"))?;
    for (name, text) in [
        ("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#),
        (
            "index.json",
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
        ),
    ] {
        let path = dir.join(name);
        if !path.exists() {
            replace(&path, text.as_bytes())?;
        }
    }
    Ok(())
}

/// Keeps other instances of this program from changing a layout meanwhile.
pub(crate) fn lock(dir: &Path) -> Result<File> {
    let file = File::open(dir).said(|| format!("{dir:?}"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::invalid(format!("{dir:?}: another pull or gc works on this layout; wait for its end")))
        }
        Err(error) => Err(error).said(|| format!("flock({dir:?})")),
    }
}

/// Adds an image to the index under a name, replacing an image with that name.
pub(crate) fn name(dir: &Path, mut descriptor: Descriptor, reference: &str) -> Result<()> {
    let blobs = Blobs::directory(dir)?;
    let mut index = index(&blobs)?;
    let mut manifests = index.manifests().clone();
    manifests.retain(|known| names(known).next() != Some(reference));
    descriptor.set_annotations(Some([(REF_NAME.to_owned(), reference.to_owned())].into()));
    manifests.push(descriptor);
    index.set_manifests(manifests);
    let text = serde_json::to_vec(&index).map_err(|error| Error::system(error.to_string()))?;
    replace(&dir.join("index.json"), &text)
}

/// Replaces a file either completely or not at all.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let part = path.with_extension(format!("new-{}", std::process::id()));
    let write = || {
        let mut file = File::create_new(&part)?;
        file.write_all(content)?;
        fs::rename(&part, path)
    };
    write().said(|| format!("{path:?}")).inspect_err(|_| drop(fs::remove_file(&part)))
}
