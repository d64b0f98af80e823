//! Layers of images, down to the root file system that they make: nothing outside of it changes, whatever they say.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::sys::stat::SFlag;
use rootling_image::{Limits, fuzzing, remove};
use serde_json::Value;

use super::host::directory;
use super::listing::Listing;
use crate::archive::{Layer, layers, number};
use crate::check::{Answer, Run};

/// What an input has in the place of the directory that archives aim at.
const OUTSIDE: &str = "@outside";

/// The most that an input may allow: more would be slow.
const MOST_ENTRIES: u64 = 1_000;
const MOST_BYTES: u64 = 8 << 20;

/// So many directories may be made for one name before they are counted.
const MOST_DIRECTORIES: u64 = 400;

/// What a file system takes at least of the disk for a file that is not empty, in bytes.
const BLOCK: u64 = 4096;

/// What the directories of the target are called, beside which nothing is made.
const NAMES: [&str; 3] = ["one", "outside", "two"];

/// The directories that root file systems are made in, and the one beside them.
struct Place {
    directory: tempfile::TempDir,
    outside: PathBuf,
    /// What lies there, and in the directory itself.
    before: Listing,
}

/// An image that an input describes.
struct Image {
    layers: Vec<Layer>,
    has_whiteouts: bool,
    limits: Limits,
}

pub(super) fn start() -> Run {
    fuzzing::raise_descriptors();
    let mut place = Place::new();
    Box::new(move |input| {
        let answer = run(input, &place);
        if answer.is_err() {
            // What has been changed outside is not blamed on the next input.
            place = Place::new();
        }
        answer
    })
}

fn run(input: &[u8], place: &Place) -> Result<Answer, String> {
    let text = String::from_utf8_lossy(input).replace(OUTSIDE, &place.outside.display().to_string());
    let Ok(document) = serde_json::from_str(&text) else {
        return Ok(Answer::Refused("the description of the layers is not JSON".to_owned()));
    };
    let image = Image::of(&document);
    let (first, tree) = place.applied("one", &image)?;
    let (second, same) = place.applied("two", &image)?;
    if first != second {
        return Err(format!("applied twice, the answers differ: {first:?} and {second:?}"));
    }
    let whole = matches!(first, Answer::Accepted(_));
    let words = tree.words();
    if let Some(difference) = tree.comparable(whole).difference(&same.comparable(whole)) {
        return Err(format!("applied twice, the trees differ: {difference}"));
    }
    Ok(match first {
        // So that an input which makes something new is kept.
        Answer::Accepted(lines) => Answer::Accepted([lines, vec![words]].concat()),
        refused @ Answer::Refused(_) => refused,
    })
}

impl Image {
    fn of(document: &Value) -> Self {
        let limit = |name: &str, usual, most| number(document["limits"].get(name), usual).min(most);
        Self {
            layers: layers(&document["layers"]),
            has_whiteouts: document["whiteouts"] != false,
            limits: Limits {
                entries: limit("entries", 500, MOST_ENTRIES),
                size: limit("size", MOST_BYTES, MOST_BYTES),
                ..Limits::default()
            },
        }
    }

    fn apply(&self, root: &Path) -> Answer {
        let blobs = self.layers.iter().map(|layer| layer.blob.clone()).collect();
        match fuzzing::apply(root, blobs, self.has_whiteouts, self.limits) {
            Ok(notes) => Answer::Accepted(notes.lines()),
            Err(error) => Answer::Refused(error.to_string()),
        }
    }

    /// What must hold of a root file system that was made, or of the part that was made before an error.
    fn fits(&self, answer: &Answer, tree: &Listing) -> Result<(), String> {
        let Limits { entries, size, .. } = self.limits;
        let unpacked: u64 = self.layers.iter().map(|layer| layer.archive.len() as u64).sum();
        // A blob that is cut has less in it than its archive.
        let is_whole = self.layers.iter().all(|layer| layer.blob.len() >= layer.archive.len());
        if matches!(answer, Answer::Accepted(_)) && is_whole && unpacked > size {
            return Err(format!("{unpacked} bytes were taken where {size} are allowed"));
        }
        let count = tree.entries.len() as u64;
        if count > entries + MOST_DIRECTORIES {
            return Err(format!("{count} files and directories where {entries} entries are allowed"));
        }
        // What comes with the archive, and as much of sparse files.
        if tree.allocated() > 2 * size + entries * BLOCK {
            return Err(format!("{} bytes on the disk where {size} are allowed", tree.allocated()));
        }
        if let Some(path) = tree.linked_elsewhere().filter(|_| tree.is_whole()) {
            return Err(format!("a file is linked from elsewhere: {path:?}"));
        }
        let usual = [SFlag::S_IFREG, SFlag::S_IFDIR, SFlag::S_IFLNK, SFlag::S_IFIFO];
        match tree.entries.iter().find(|(_, entry)| !usual.contains(&entry.kind)) {
            Some((path, entry)) => Err(format!("something else than a file: {path:?}: {entry:?}")),
            None => Ok(()),
        }
    }
}

impl Place {
    fn new() -> Self {
        let directory = directory();
        let outside = directory.path().join("outside");
        let make = || -> std::io::Result<Listing> {
            fs::create_dir_all(outside.join("below"))?;
            let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
            for (name, mode) in [("victim", 0o666), ("below/victim", 0o640), ("program", 0o4755)] {
                let path = outside.join(name);
                fs::write(&path, "untouched")?;
                fs::set_permissions(&path, PermissionsExt::from_mode(mode))?;
                File::options().write(true).open(&path)?.set_modified(old)?;
            }
            symlink("victim", outside.join("link"))?;
            fs::set_permissions(&outside, PermissionsExt::from_mode(0o777))?;
            Listing::of(&outside)
        };
        let before = make().unwrap_or_else(|error| panic!("{}: {error}", directory.path().display()));
        Self { directory, outside, before }
    }

    /// Applies an image to a directory that is removed then.
    fn applied(&self, name: &str, image: &Image) -> Result<(Answer, Listing), String> {
        let root = self.directory.path().join(name);
        fs::create_dir(&root).map_err(|error| format!("{name} cannot be made: {error}"))?;
        let answer = image.apply(&root);
        let tree = Listing::of(&root).map_err(|error| format!("the tree cannot be listed: {error}"));
        let held = tree.and_then(|tree| image.fits(&answer, &tree).map(|()| tree));
        let removed = remove(&root).map_err(|error| format!("the tree cannot be removed: {error}"));
        let gone = removed.and_then(|()| self.is_untouched());
        if gone.is_err() {
            let _ = fs::remove_dir_all(&root);
        }
        Ok((answer, held.and_then(|tree| gone.map(|()| tree))?))
    }

    /// Outside everything is as it was, and nothing new is beside it.
    fn is_untouched(&self) -> Result<(), String> {
        let now = Listing::of(&self.outside).map_err(|error| format!("outside is gone: {error}"))?;
        if let Some(difference) = self.before.difference(&now) {
            return Err(format!("outside was changed: {difference}"));
        }
        let entries = fs::read_dir(self.directory.path()).map_err(|error| error.to_string())?;
        let mut names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
        match names.find(|name| !NAMES.iter().any(|known| name == known)) {
            Some(name) => Err(format!("outside was made: {name:?}")),
            None => Ok(()),
        }
    }
}
