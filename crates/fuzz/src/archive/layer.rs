//! A whole archive.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::bytes::{bytes, number};
use super::entry;

/// So many entries are made of all archives of a document together: what mutation repeats thousands of times would only be slow.
const MOST_ENTRIES: usize = 300;

/// An archive ends here, as one that is cut off; in bytes.
const MOST: usize = 4 << 20;

/// A layer as it is, and as it is stored.
pub(crate) struct Layer {
    /// The archive.
    pub(crate) archive: Vec<u8>,
    /// The same, compressed or not.
    pub(crate) blob: Vec<u8>,
    /// How many entries it was made of.
    pub(crate) entries: usize,
}

impl Layer {
    /// The layer that a document describes, of so many entries at most.
    pub(crate) fn of(value: &Value, most: usize) -> Self {
        Self::behind(bytes(&value["raw"]), value, most)
    }

    /// An archive of files, with what a document describes behind them.
    pub(crate) fn with_files(files: &[(String, &[u8])], value: &Value, most: usize) -> Self {
        Self::behind(files.iter().flat_map(|(name, data)| entry::file(name, data)).collect(), value, most)
    }

    fn behind(mut archive: Vec<u8>, value: &Value, most: usize) -> Self {
        let mut entries = 0;
        for value in value["entries"].as_array().into_iter().flatten().take(most) {
            if archive.len() > MOST {
                break;
            }
            archive.extend(entry::encoded(value));
            entries += 1;
        }
        let end = number(value.get("end"), 2).min(20);
        archive.resize(archive.len() + 512 * end as usize, 0);
        archive.extend(bytes(&value["tail"]));
        cut(&mut archive, &value["cut"]);
        archive.truncate(MOST);
        let mut blob = if value["compression"] == "gzip" { gzip(&archive) } else { archive.clone() };
        cut(&mut blob, &value["cutBlob"]);
        Self { archive, blob, entries }
    }
}

/// The layers that a document describes.
pub(crate) fn layers(values: &Value) -> Vec<Layer> {
    let mut left = MOST_ENTRIES;
    let mut all = Vec::new();
    for value in values.as_array().into_iter().flatten().take(8) {
        let layer = Layer::of(value, left);
        left -= layer.entries;
        all.push(layer);
    }
    all
}

fn cut(bytes: &mut Vec<u8>, by: &Value) {
    let by = usize::try_from(number(Some(by), 0)).unwrap_or(usize::MAX);
    bytes.truncate(bytes.len().saturating_sub(by));
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.unwrap_or_else(|error| panic!("compress in memory: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_without_anything_is_an_empty_archive() {
        for value in [json!(null), json!("x"), json!({"entries": 7})] {
            assert_eq!(Layer::of(&value, 10).archive, [0; 1024], "{value}");
        }
        assert_eq!(layers(&json!([{"entries": vec![1; 500]}, {"entries": [1]}]))[1].entries, 0);
    }

    #[test]
    fn an_archive_is_cut_and_compressed_as_the_document_says() {
        let value = json!({"entries": [{"name": "a", "data": "x"}], "cut": 1024, "compression": "gzip"});
        let layer = Layer::of(&value, 10);
        assert_eq!((layer.archive.len(), layer.entries), (1024, 1));
        assert_eq!(layer.archive[..2], *b"a\0");
        assert_eq!(layer.blob[..2], [0x1f, 0x8b]);
    }
}
