//! OCI image layouts, image-spec image-layout.md: their contents, and what is no longer needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};
use serde::Serialize;

use crate::blobs::{Blobs, digest_of, parse};
use crate::digest::Digest;
use crate::error::{Error, Result, Said};
use crate::index::{FULL_NAME, REF_NAME, index, is_index, names};
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
        let mut reached = Reached::default();
        reached.add(&blobs, descriptor, 0)?;
        Ok(Listed {
            names: names(descriptor).map(str::to_owned).collect(),
            digest: descriptor.digest().to_string(),
            platforms: reached.platforms.into_iter().collect(),
            // Descriptors may say what they like.
            size: reached.sizes.values().fold(0, |all, size| all.saturating_add(*size)),
        })
    };
    // Some tools note the same image twice.
    let mut seen = BTreeSet::new();
    let is_new = |found: &Result<Listed>| match found {
        Ok(found) => seen.insert((found.digest.clone(), found.names.clone())),
        Err(_) => true,
    };
    index(&blobs)?.manifests().iter().map(one).filter(is_new).collect()
}

/// What descriptors lead to.
#[derive(Default)]
struct Reached {
    /// The blobs, with their sizes.
    sizes: BTreeMap<Digest, u64>,
    platforms: BTreeSet<String>,
    /// The manifests and indexes that have been read, with how deep they were: one that many indexes list many times would
    /// be read for each of the ways to it.
    read: BTreeMap<Known, usize>,
}

/// What of a descriptor is checked when it is read: digest, size, and whether it is an index.
type Known = (Digest, u64, bool);

impl Reached {
    /// Notes what a descriptor leads to. Images of an index that are not there, as after a pull of one platform, lead nowhere.
    fn add(&mut self, blobs: &Blobs, descriptor: &Descriptor, depth: usize) -> Result<()> {
        let digest = digest_of(descriptor)?;
        let known = (digest.clone(), descriptor.size(), is_index(descriptor));
        let before = self.read.get(&known);
        if depth > 8 || before.is_none() && !blobs.exists(&digest)? {
            return Ok(());
        }
        if let Some(platform) = descriptor.platform().as_ref().filter(|_| !is_index(descriptor)) {
            self.platforms.insert(shown(platform));
        }
        // From less deep, more of what is below it may be reached.
        if before.is_some_and(|before| *before <= depth) {
            return Ok(());
        }
        self.read.insert(known, depth);
        self.sizes.insert(digest, descriptor.size());
        let bytes = blobs.document(descriptor)?;
        if is_index(descriptor) {
            let index: ImageIndex = parse(&bytes, "an index of the layout")?;
            return index.manifests().iter().try_for_each(|below| self.add(blobs, below, depth + 1));
        }
        let manifest: ImageManifest = parse(&bytes, "a manifest of the layout")?;
        for blob in manifest.layers().iter().chain([manifest.config()]) {
            self.sizes.insert(digest_of(blob)?, blob.size());
        }
        if descriptor.platform().is_none() {
            let config: Option<ImageConfiguration> =
                blobs.document(manifest.config()).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            self.platforms.extend(config.map(|config| format!("{}/{}", config.os(), config.architecture())));
        }
        Ok(())
    }
}

/// What `gc` has removed.
#[derive(Debug, Default, Serialize)]
pub struct Collected {
    /// The number of blobs and partial blobs.
    pub blobs: u64,
    /// Their size in bytes.
    pub bytes: u64,
}

/// Removes the blobs that no image in the layout needs, and what is left of interrupted transfers. Files of other names
/// stay.
///
/// # Errors
/// The layout is damaged, or its directories are links; nothing is removed then.
pub fn collect(dir: &Path) -> Result<Collected> {
    let _lock = lock(dir)?;
    has_no_links(dir)?;
    let blobs = Blobs::directory(dir)?;
    let mut reached = Reached::default();
    for descriptor in index(&blobs)?.manifests() {
        let digest = digest_of(descriptor)?;
        if !blobs.exists(&digest)? {
            return Err(Error::invalid(format!(
                "{dir:?}: the image {digest} of the index is not there, so what it needs cannot be told: pull it again, or remove it from index.json"
            )));
        }
        reached.add(&blobs, descriptor, 0)?;
    }
    let mut collected = Collected::default();
    for algorithm in ALGORITHMS {
        let below = dir.join("blobs").join(algorithm);
        let Ok(entries) = rootling_sys::directory::entries(&below) else { continue };
        for entry in entries.iter().filter(|entry| !entry.is_directory) {
            let Some(name) = entry.name.to_str() else { continue };
            let whole = name.strip_suffix(".part");
            let Ok(digest) = format!("{algorithm}:{}", whole.unwrap_or(name)).parse::<Digest>() else {
                continue;
            };
            if whole.is_none() && reached.sizes.contains_key(&digest) {
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

/// The directories with blobs.
const ALGORITHMS: [&str; 2] = ["sha256", "sha512"];

/// Checks that the directories with blobs are the layout's own: what is written or removed in one that is a link would be
/// elsewhere.
fn has_no_links(dir: &Path) -> Result<()> {
    let blobs = dir.join("blobs");
    for path in std::iter::once(blobs.clone()).chain(ALGORITHMS.map(|algorithm| blobs.join(algorithm))) {
        if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_dir()) {
            return Err(Error::invalid(format!(
                "{path:?} is not a directory of the layout itself: replace it by one with the same files"
            )));
        }
    }
    Ok(())
}

/// What a pull has made of a layout that was none before. It is removed again unless it is kept.
pub(crate) struct Fresh<'a> {
    dir: &'a Path,
    /// The directories that were made for it, the layout's own first.
    made: Vec<PathBuf>,
    keep: bool,
    _lock: File,
}

impl<'a> Fresh<'a> {
    /// Makes a directory a layout if it is not one yet, and locks it.
    pub(crate) fn ensure(dir: &'a Path) -> Result<Self> {
        let (made, lock) = Self::make(dir)?;
        // Under the lock, or it may be another pull's. What cannot be told counts as there.
        let is_there = |name: &&str| {
            let found = fs::symlink_metadata(dir.join(name));
            found.map_or_else(|error| error.kind() != ErrorKind::NotFound, |_| true)
        };
        let was_there = ["oci-layout", "index.json", "blobs"].iter().any(is_there);
        let fresh = Self { dir, made, keep: was_there, _lock: lock };
        ensure(dir)?;
        // What would fail after the transfer.
        let damaged = |error: Error| {
            error.remedy(format!("restore what is in {dir:?}, or pull into another directory"))
        };
        index(&Blobs::directory(dir)?).map_err(damaged)?;
        for path in [dir, &dir.join("blobs/sha256")] {
            access(path, AccessFlags::W_OK | AccessFlags::X_OK).said(|| format!("{path:?}"))?;
        }
        Ok(fresh)
    }

    /// Makes the directory and those above it, as far as they are missing, and locks it. Returns what was made, too.
    fn make(dir: &Path) -> Result<(Vec<PathBuf>, File)> {
        let mut made = Vec::new();
        let mut all: Vec<&Path> = dir.ancestors().filter(|at| !at.as_os_str().is_empty()).collect();
        while let Some(at) = all.pop() {
            match fs::create_dir(at) {
                Ok(()) => made.insert(0, at.to_owned()),
                // Of those above, the error is that of the next one.
                Err(error) if !all.is_empty() || error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    remove_empty(&made);
                    return Err(error).said(|| format!("{dir:?}"));
                }
            }
        }
        match lock(dir) {
            // Another pull that failed may have removed it meanwhile.
            Ok(lock) if !is_same(&lock, dir) => {
                Err(Error::system(format!("{dir:?}: another pull has removed it meanwhile; pull again")))
            }
            Ok(lock) => Ok((made, lock)),
            // Whoever has the lock works in it: nothing of it is removed.
            Err(error) => Err(error),
        }
    }

    /// Whether something of the layers has arrived that a second pull would go on with.
    pub(crate) fn has_layers(&self, config: &Digest) -> bool {
        let (config, blobs) = (self.dir.join("blobs").join(config.path()), self.dir.join("blobs"));
        let has_content = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.len() > 0);
        ALGORITHMS.iter().any(|algorithm| {
            let below = blobs.join(algorithm);
            let entries = rootling_sys::directory::entries(&below).unwrap_or_default();
            let paths = entries.iter().map(|entry| below.join(&entry.name));
            paths.filter(|path| path.with_extension("") != config).any(|path| has_content(&path))
        })
    }

    /// Keeps it, since there is something in it that somebody needs.
    pub(crate) fn keep(mut self) {
        self.keep = true;
    }
}

impl Drop for Fresh<'_> {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        let _ = fs::remove_dir_all(self.dir.join("blobs"));
        for name in ["oci-layout", "index.json"] {
            let _ = fs::remove_file(self.dir.join(name));
        }
        remove_empty(&self.made);
    }
}

/// Removes those of some directories that are empty, the innermost of which is the first.
fn remove_empty(directories: &[PathBuf]) {
    for dir in directories {
        let _ = fs::remove_dir(dir);
    }
}

/// Whether a path leads to the directory that is open.
fn is_same(open: &File, path: &Path) -> bool {
    let id = |found: &Metadata| (found.dev(), found.ino());
    matches!((open.metadata(), fs::metadata(path)), (Ok(one), Ok(other)) if id(&one) == id(&other))
}

/// Makes a directory a layout if it is not one yet. Existing contents are kept.
fn ensure(dir: &Path) -> Result<()> {
    has_no_links(dir)?;
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
fn lock(dir: &Path) -> Result<File> {
    let file = File::open(dir).said(|| format!("{dir:?}"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::invalid("another pull or gc works on this layout; wait for its end"))
        }
        Err(error) => Err(error).said(|| format!("flock({dir:?})")),
    }
}

/// Adds an image to the index, replacing the former one of the same repository and tag. It is called by its tag, or, if
/// another image has that name already, by its full name, so that nothing loses its name silently. Returns the name.
pub(crate) fn name(dir: &Path, mut descriptor: Descriptor, tag: &str, full: &str) -> Result<String> {
    let blobs = Blobs::directory(dir)?;
    let mut index = index(&blobs)?;
    let mut manifests = index.manifests().clone();
    let of_no_repository = |known: &Descriptor| names(known).all(|name| name == tag);
    let is_same = |known: &Descriptor| {
        names(known).any(|name| name == full)
            || of_no_repository(known) && known.digest() == descriptor.digest()
    };
    manifests.retain(|known| !is_same(known));
    let taken = manifests.iter().any(|known| names(known).any(|name| name == tag));
    let name = if taken { full } else { tag };
    let names = [(REF_NAME, name), (FULL_NAME, full)];
    descriptor.set_annotations(Some(names.map(|(key, value)| (key.to_owned(), value.to_owned())).into()));
    manifests.push(descriptor);
    index.set_manifests(manifests);
    let text = serde_json::to_vec(&index).map_err(|error| Error::system(error.to_string()))?;
    replace(&dir.join("index.json"), &text)?;
    Ok(name.to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Writes a blob; its descriptor.
    fn blob(dir: &Path, kind: &str, content: &Value) -> Value {
        let bytes = content.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        fs::write(dir.join("blobs").join(digest.path()), &bytes).expect("a blob");
        let media_type = format!("application/vnd.oci.image.{kind}.v1+json");
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
    }

    /// A layout of one image, with the descriptor of its manifest.
    fn layout(layers: &Value) -> (tempfile::TempDir, Value) {
        let dir = tempfile::tempdir().expect("a directory");
        ensure(dir.path()).expect("a layout");
        let config =
            json!({"os": "linux", "architecture": "arm64", "rootfs": {"type": "layers", "diff_ids": []}});
        let config = blob(dir.path(), "config", &config);
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
        let manifest = blob(dir.path(), "manifest", &manifest);
        (dir, manifest)
    }

    fn listed(dir: &Path, descriptor: &Value) -> Listed {
        let index = json!({"schemaVersion": 2, "manifests": [descriptor]});
        fs::write(dir.join("index.json"), index.to_string()).expect("an index");
        list(dir).expect("a list").remove(0)
    }

    /// A layout whose index has an image; also returns that.
    fn indexed() -> (tempfile::TempDir, Value) {
        let (dir, image) = layout(&json!([]));
        let index = json!({"schemaVersion": 2, "manifests": [image]}).to_string();
        fs::write(dir.path().join("index.json"), index).expect("an index");
        (dir, image)
    }

    #[test]
    fn a_layout_whose_blobs_are_elsewhere_is_not_changed() {
        let (dir, _) = indexed();
        let (elsewhere, blobs) = (tempfile::tempdir().expect("a directory"), dir.path().join("blobs"));
        fs::rename(&blobs, elsewhere.path().join("blobs")).expect("move the blobs");
        fs::write(elsewhere.path().join("blobs/sha256/precious"), "").expect("a file");
        std::os::unix::fs::symlink(elsewhere.path().join("blobs"), &blobs).expect("a link");
        let refused = collect(dir.path()).expect_err("a link").to_string();
        assert!(refused.contains("is not a directory of the layout itself"), "{refused}");
        let refused = ensure(dir.path()).expect_err("a link").to_string();
        assert!(refused.contains("is not a directory of the layout itself"), "{refused}");
        assert!(elsewhere.path().join("blobs/sha256/precious").exists());
    }

    #[test]
    fn only_what_a_pull_has_made_is_removed_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let names = |path: &Path| {
            let entries = rootling_sys::directory::entries(path).expect("a list");
            entries.into_iter().map(|entry| entry.name.into_string().expect("UTF-8")).collect::<Vec<_>>()
        };
        let new = dir.path().join("new");
        drop(Fresh::ensure(&new).expect("a layout"));
        assert!(!new.exists());
        fs::create_dir(&new).and_then(|()| fs::write(new.join("precious"), "")).expect("a directory");
        drop(Fresh::ensure(&new).expect("a layout"));
        assert_eq!(names(&new), ["precious"]);
        fs::write(new.join("index.json"), r#"{"schemaVersion":2,"manifests":[]}"#).expect("a file");
        drop(Fresh::ensure(&new).expect("a layout"));
        assert!(names(&new).contains(&"index.json".to_owned()));
        Fresh::ensure(&dir.path().join("kept")).expect("a layout").keep();
        assert!(dir.path().join("kept/oci-layout").exists());
        // While another pull works on it, neither removes what the other has made.
        let other = dir.path().join("other");
        let first = Fresh::ensure(&other).expect("a layout");
        assert!(Fresh::ensure(&other).is_err());
        assert!(other.join("index.json").exists());
        first.keep();
    }

    #[test]
    fn only_blobs_and_parts_of_them_are_removed() {
        let (dir, _) = indexed();
        let below = dir.path().join("blobs/sha256");
        let (unneeded, part) = (below.join("0".repeat(64)), below.join(format!("{}.part", "0".repeat(64))));
        for path in [&unneeded, &part, &below.join("README")] {
            fs::write(path, "x").expect("a file");
        }
        assert_eq!(collect(dir.path()).expect("a result").blobs, 2);
        assert!(below.join("README").exists() && !unneeded.exists() && !part.exists());
    }

    #[test]
    fn what_an_image_needs_is_kept_if_its_manifest_cannot_be_read() {
        let (dir, image) = indexed();
        let digest = image["digest"].as_str().expect("a digest").replace(':', "/");
        let manifest = dir.path().join("blobs").join(digest);
        let count =
            || rootling_sys::directory::entries(&dir.path().join("blobs/sha256")).expect("the blobs").len();
        fs::rename(&manifest, dir.path().join("elsewhere")).expect("move the manifest");
        let before = count();
        collect(dir.path()).expect_err("a manifest that is missing");
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &manifest).expect("a link");
        collect(dir.path()).expect_err("a manifest that is a link");
        fs::remove_file(&manifest).and_then(|()| fs::create_dir(&manifest)).expect("a directory");
        collect(dir.path()).expect_err("a manifest that is a directory");
        assert_eq!(count(), before + 1);
    }

    #[test]
    fn what_indexes_list_many_times_is_read_once() {
        let (dir, manifest) = layout(&json!([]));
        let mut of_platform = manifest.clone();
        of_platform["platform"] = json!({"os": "linux", "architecture": "amd64"});
        let mut below = json!([manifest, of_platform]);
        // One below the other: each of them once more would be read as often as all above it together.
        for _ in 0..8 {
            let index = blob(dir.path(), "index", &json!({"schemaVersion": 2, "manifests": below}));
            below = Value::Array(vec![index; 100]);
        }
        let found = listed(dir.path(), &below[0]);
        assert_eq!(found.platforms, ["linux/amd64", "linux/arm64"]);
        collect(dir.path()).expect("nothing is removed");
        assert_eq!(listed(dir.path(), &below[0]).size, found.size);
    }

    #[test]
    fn damage_is_an_error_also_of_what_was_read_before() {
        let (dir, manifest) = layout(&json!([]));
        for (name, wrong) in
            [("size", json!(7)), ("mediaType", json!("application/vnd.oci.image.index.v1+json"))]
        {
            let mut other = manifest.clone();
            other[name] = wrong;
            let index = json!({"schemaVersion": 2, "manifests": [manifest, other]});
            fs::write(dir.path().join("index.json"), index.to_string()).expect("an index");
            assert!(list(dir.path()).is_err() && collect(dir.path()).is_err(), "{name}");
        }
    }

    #[test]
    fn sizes_that_no_image_has_are_shown_as_the_largest() {
        let layer = |digit: &str| json!({"mediaType": "x", "digest": format!("sha256:{}", digit.repeat(64)), "size": u64::MAX});
        let (dir, manifest) = layout(&json!([layer("1"), layer("2")]));
        assert_eq!(listed(dir.path(), &manifest).size, u64::MAX);
    }
}
