//! The documents of an image, with the blobs that they list: those of a layout, an archive of one, or one of `docker save`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rootling_config::annotations::is_unsafe;
use rootling_image::{Digest, Limits, Platform, Source, fuzzing, inspect, layout};
use serde_json::{Value, json};

use super::documents::Documents;
use super::host::directory;
use super::state::write;
use crate::archive::Layer;
use crate::check::{Answer, Run};

/// The files of a layout that are no blobs.
const OF_LAYOUT: [&str; 2] = ["oci-layout", "index.json"];

/// Layers of inputs are small.
const LIMITS: Limits = Limits { entries: 1000, size: 4 << 20, ratio: 200 };

/// Where an image is written to.
struct Place {
    _directory: tempfile::TempDir,
    layout: PathBuf,
    archive: PathBuf,
    /// For what is decompressed.
    scratch: PathBuf,
}

pub(super) fn start() -> Run {
    let directory = directory();
    let [layout, archive, scratch] = ["layout", "archive", "scratch"].map(|name| directory.path().join(name));
    fs::create_dir(&scratch).expect("make a directory");
    let place = Place { _directory: directory, layout, archive, scratch };
    Box::new(move |input| run(input, &place))
}

fn run(input: &[u8], place: &Place) -> Result<Answer, String> {
    let Ok(document) = serde_json::from_slice::<Value>(input) else {
        return Ok(Answer::Refused("the description of the image is not JSON".to_owned()));
    };
    let documents = Documents::of(&document);
    let reference = document["reference"].as_str().map(str::to_owned);
    let source = match document["kind"].as_str() {
        Some("docker-archive") => Source::DockerArchive(place.archive.clone(), reference),
        Some("oci-archive") => Source::OciArchive(place.archive.clone(), reference),
        _ => Source::Layout(place.layout.clone(), reference),
    };
    place.make(&source, &documents, &document)?;
    let platform = document["platform"].as_str().unwrap_or("linux/amd64").parse::<Platform>();
    match platform {
        Ok(platform) => place.read(&source, &platform, &documents),
        Err(error) => Ok(Answer::Refused(error.to_string())),
    }
}

impl Place {
    fn make(&self, source: &Source, documents: &Documents, document: &Value) -> Result<(), String> {
        if let Source::Layout(..) = source {
            let make = || -> std::io::Result<()> {
                if self.layout.exists() {
                    fs::remove_dir_all(&self.layout)?;
                }
                fs::create_dir_all(self.layout.join("blobs/sha256"))
            };
            make().map_err(|error| format!("the layout cannot be made: {error}"))?;
            let files = documents.files.iter().filter(|(name, _)| OF_LAYOUT.contains(&name.as_str()));
            files.for_each(|(name, content)| write(&self.layout.join(name), content));
            for blob in documents.blobs.values() {
                write(&self.layout.join(blob.path()), &blob.content);
            }
            return Ok(());
        }
        let blobs = documents.blobs.values().map(|blob| (blob.path(), &blob.content[..]));
        let files = documents.files.iter().map(|(name, content)| (name.clone(), &content[..]));
        let files: Vec<(String, &[u8])> = blobs.chain(files).collect();
        let rest = json!({"entries": documents.entries, "compression": document["compression"]});
        let archive = Layer::with_files(&files, &rest, documents.entries.len());
        write(&self.archive, &archive.blob);
        Ok(())
    }

    fn read(&self, source: &Source, platform: &Platform, documents: &Documents) -> Result<Answer, String> {
        let answer = self.content(source, platform)?;
        let whole = matches!(answer, Answer::Accepted(_));
        if let Source::Layout(path, _) = source {
            // Nothing that the image needs is removed.
            let listed = layout::list(path).is_ok();
            let collected = layout::collect(path).is_ok();
            if listed != collected {
                return Err(format!("the layout was listed: {listed}, and collected: {collected}"));
            }
            if self.content(source, platform)? != answer {
                return Err("collected, the layout has another image".to_owned());
            }
        } else if let Err(error) = self.archive.display().to_string().parse::<Source>() {
            return Ok(if whole { Answer::Refused(error.to_string()) } else { answer });
        }
        if whole && !matches!(source, Source::DockerArchive(..)) {
            inspected(source, platform, documents)?;
        }
        Ok(answer)
    }

    /// The image with its layers, read to the end.
    fn content(&self, source: &Source, platform: &Platform) -> Result<Answer, String> {
        let content = match fuzzing::image(source, platform, LIMITS, &self.scratch) {
            Ok(content) => content,
            Err(error) => return Ok(Answer::Refused(error.to_string())),
        };
        for (promised, content) in &content.layers {
            let promised = promised.to_string();
            if promised.starts_with("sha256:") && promised != Digest::of(content).to_string() {
                return Err(format!("a layer is not what {promised} promises"));
            }
        }
        let defaults = rootling_image::defaults(&content.config);
        if !defaults.env.iter().all(|text| text.find('=').is_some_and(|at| at > 0)) {
            return Err("a variable without a name or a value".to_owned());
        }
        if !defaults.workdir.iter().all(|dir| Path::new(dir).is_absolute()) {
            return Err("the working directory is not absolute".to_owned());
        }
        let (annotations, left_out) = rootling_image::annotations(&content.config);
        if let Some(name) = annotations.keys().find(|name| is_unsafe(name)) {
            return Err(format!("the image sets the annotation {name:?}"));
        }
        let words = [
            ("an entrypoint", !defaults.entrypoint.is_empty()),
            ("arguments", !defaults.cmd.is_empty()),
            ("variables", !defaults.env.is_empty()),
            ("a working directory", defaults.workdir.is_some()),
            ("a user", defaults.user.is_some()),
            ("labels that are left out", !left_out.is_empty()),
            ("layers", !content.layers.is_empty()),
            ("a size", content.size > 0),
        ];
        let there: Vec<&str> = words.into_iter().filter_map(|(word, is)| is.then_some(word)).collect();
        Ok(Answer::Accepted(vec![format!("the image has a configuration, {}", there.join(", "))]))
    }
}

/// What is shown of an image that was read is what its digests say.
fn inspected(source: &Source, platform: &Platform, documents: &Documents) -> Result<(), String> {
    let found = inspect(source, platform).map_err(|error| format!("read and not shown: {error}"))?;
    let contents = documents.blobs.values().map(|blob| &blob.content).chain(documents.files.values());
    let there: BTreeMap<String, &Vec<u8>> =
        contents.map(|content| (Digest::of(content).to_string(), content)).collect();
    for digest in [found.digest.clone(), found.manifest.config().digest().to_string()] {
        if digest.starts_with("sha256:") && !there.contains_key(&digest) {
            return Err(format!("{digest} is shown, and nothing has it"));
        }
    }
    serde_json::to_string(&found).map_err(|error| format!("cannot be shown: {error}"))?;
    Ok(())
}
