//! Documents that name each other by their digests, which no mutation would hit: they stand there as names.
//!
//! `@NAME` in a string is the digest of a blob, `@NAME.hex` its digits, `@NAME.diff` the digest of its archive before it was
//! compressed, and a string that is `@NAME.size` and nothing else is the number of its bytes.

use std::collections::{BTreeMap, BTreeSet};

use rootling_image::Digest;
use serde_json::{Map, Value};

use crate::archive::{Layer, bytes};

/// More blobs and files than this are left out, and more entries of a layer.
const MOST: usize = 40;

/// A blob.
#[derive(Clone, Debug)]
pub(super) struct Blob {
    pub(super) content: Vec<u8>,
    digest: String,
    diff: String,
}

/// The blobs and the other files of an image.
#[derive(Default)]
pub(super) struct Documents {
    /// By their names in the description.
    pub(super) blobs: BTreeMap<String, Blob>,
    /// By their paths.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    /// Entries that an archive has besides.
    pub(super) entries: Vec<Value>,
    /// Blobs whose names are being replaced: a blob cannot have its own digest in it.
    open: BTreeSet<String>,
}

impl Blob {
    fn new(content: Vec<u8>, archive: Option<&[u8]>) -> Self {
        let digest = Digest::of(&content).to_string();
        let diff = archive.map_or_else(|| digest.clone(), |archive| Digest::of(archive).to_string());
        Self { content, digest, diff }
    }

    fn hex(&self) -> &str {
        self.digest.rsplit(':').next().unwrap_or_default()
    }

    /// Where it lies in a layout.
    pub(super) fn path(&self) -> String {
        format!("blobs/sha256/{}", self.hex())
    }
}

impl Documents {
    /// Those of `blobs`, `files` and `entries` of a description.
    pub(super) fn of(description: &Value) -> Self {
        let empty = Map::new();
        let blobs = description["blobs"].as_object().unwrap_or(&empty);
        let mut documents = Self::default();
        for name in blobs.keys().take(MOST) {
            documents.make(name, blobs);
        }
        for (name, value) in description["files"].as_object().into_iter().flatten().take(MOST) {
            let content = documents.content(value, blobs);
            let name = documents.replaced(name, blobs);
            documents.files.insert(name, content);
        }
        for entry in description["entries"].as_array().into_iter().flatten().take(MOST) {
            let entry = documents.document(entry, blobs);
            documents.entries.push(entry);
        }
        documents
    }

    /// Makes a blob with those that it names.
    fn make(&mut self, name: &str, blobs: &Map<String, Value>) {
        let Some(value) = blobs.get(name) else { return };
        if self.blobs.contains_key(name) || self.blobs.len() >= MOST || !self.open.insert(name.to_owned()) {
            return;
        }
        let layer = value.get("layer").map(|layer| Layer::of(layer, MOST));
        let blob = match layer {
            Some(layer) => Blob::new(layer.blob, Some(&layer.archive)),
            None => Blob::new(self.content(value, blobs), None),
        };
        self.open.remove(name);
        self.blobs.insert(name.to_owned(), blob);
    }

    /// A document as its text; a string, or a list of numbers, as the bytes that it is.
    fn content(&mut self, value: &Value, blobs: &Map<String, Value>) -> Vec<u8> {
        match value {
            Value::String(text) => self.replaced(text, blobs).into_bytes(),
            Value::Object(members) if members.contains_key("repeat") => bytes(value),
            other => self.document(other, blobs).to_string().into_bytes(),
        }
    }

    fn document(&mut self, value: &Value, blobs: &Map<String, Value>) -> Value {
        match value {
            Value::String(text) => match text.strip_prefix('@').and_then(|name| name.strip_suffix(".size")) {
                Some(name) => {
                    self.make(name, blobs);
                    self.blobs.get(name).map_or_else(|| value.clone(), |blob| blob.content.len().into())
                }
                None => Value::String(self.replaced(text, blobs)),
            },
            Value::Array(items) => items.iter().map(|item| self.document(item, blobs)).collect(),
            Value::Object(members) => Value::Object(
                members
                    .iter()
                    .map(|(name, member)| (self.replaced(name, blobs), self.document(member, blobs)))
                    .collect(),
            ),
            other => other.clone(),
        }
    }

    /// A text with digests in the place of names.
    fn replaced(&mut self, text: &str, blobs: &Map<String, Value>) -> String {
        let mut parts = text.split('@');
        let mut all = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(part.len());
            let (name, rest) = part.split_at(end);
            self.make(name, blobs);
            let Some(blob) = self.blobs.get(name) else {
                all.push('@');
                all.push_str(part);
                continue;
            };
            let forms = [(".hex", blob.hex()), (".diff", &blob.diff), ("", &blob.digest)];
            let found = forms.iter().find_map(|(form, value)| Some((rest.strip_prefix(form)?, value)));
            let (rest, value) = found.unwrap_or((rest, &forms[2].1));
            all.push_str(value);
            all.push_str(rest);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_become_digests_in_the_order_that_they_need() {
        let documents = Documents::of(&json!({
            "blobs": {
                "b": {"list": ["@a", "@a.size", "x@a.hex/y", "@none"]},
                "a": "abc",
                "own": {"digest": "@own"},
                "l": {"layer": {"entries": [], "compression": "gzip"}},
            },
            "files": {"@a.hex.json": ["@l", "@l.diff"]},
        }));
        let text = |name: &str| String::from_utf8_lossy(&documents.blobs[name].content).into_owned();
        let digest = Digest::of(b"abc").to_string();
        let hex = &digest["sha256:".len()..];
        assert_eq!(text("b"), json!({"list": [digest, 3, format!("x{hex}/y"), "@none"]}).to_string());
        assert_eq!(text("own"), r#"{"digest":"@own"}"#);
        let blob = &documents.blobs["l"];
        let wanted = json!([blob.digest, Digest::of(&[0; 1024]).to_string()]);
        assert_eq!(documents.files[&format!("{hex}.json")], wanted.to_string().into_bytes());
    }
}
