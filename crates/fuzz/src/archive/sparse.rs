//! Maps of sparse files, in the four formats of GNU tar: "Storing Sparse Files" in its manual.

use serde_json::{Value, json};

use super::bytes::{bytes, put_number};

/// How many parts a header has room for, and a block behind it.
const OF_HEADER: usize = 4;
const OF_BLOCK: usize = 21;

/// More parts than this are left out.
const MOST: usize = 5_000;

/// `{"format": "old", "map": [[OFFSET, LENGTH], ...], "size": SIZE}`
pub(super) struct Sparse<'a> {
    format: &'a str,
    map: Vec<(Value, Value)>,
    size: Value,
}

impl<'a> Sparse<'a> {
    pub(super) fn of(value: &'a Value) -> Self {
        let part = |value: &Value| (value[0].clone(), value[1].clone());
        let map: Vec<_> = value["map"].as_array().into_iter().flatten().take(MOST).map(part).collect();
        let end = |(offset, length): &(Value, Value)| offset.as_u64()?.checked_add(length.as_u64()?);
        let size = match &value["size"] {
            Value::Null => json!(map.last().and_then(end).unwrap_or(0)),
            size => size.clone(),
        };
        Self { format: value["format"].as_str().unwrap_or("1.0"), map, size }
    }

    pub(super) fn is_old(&self) -> bool {
        self.format == "old"
    }

    /// Puts the first parts into a header of the old format; the blocks that follow it.
    pub(super) fn put_old(&self, header: &mut [u8]) -> Vec<u8> {
        put_number(&mut header[483..495], &self.size);
        let (first, more) = self.map.split_at(self.map.len().min(OF_HEADER));
        put_parts(&mut header[386..482], first);
        header[482] = u8::from(!more.is_empty());
        let mut blocks = Vec::new();
        let count = more.len().div_ceil(OF_BLOCK);
        for (index, parts) in more.chunks(OF_BLOCK).enumerate() {
            let mut block = [0; 512];
            put_parts(&mut block, parts);
            block[504] = u8::from(index + 1 < count);
            blocks.extend(block);
        }
        blocks
    }

    /// The records of an extended header, in the formats that have some.
    pub(super) fn records(&self, name: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let record = |key: &str, value: &Value| (key.as_bytes().to_vec(), bytes(value));
        let count = json!(self.map.len());
        match self.format {
            "0.0" => {
                let mut all =
                    vec![record("GNU.sparse.size", &self.size), record("GNU.sparse.numblocks", &count)];
                for (offset, length) in &self.map {
                    all.push(record("GNU.sparse.offset", offset));
                    all.push(record("GNU.sparse.numbytes", length));
                }
                all
            }
            "0.1" => {
                let numbers: Vec<Vec<u8>> = self.map.iter().flat_map(|(a, b)| [bytes(a), bytes(b)]).collect();
                vec![
                    record("GNU.sparse.size", &self.size),
                    record("GNU.sparse.numblocks", &count),
                    (b"GNU.sparse.map".to_vec(), numbers.join(&b',')),
                ]
            }
            "1.0" => vec![
                record("GNU.sparse.major", &json!("1")),
                record("GNU.sparse.minor", &json!("0")),
                (b"GNU.sparse.name".to_vec(), name.to_vec()),
                record("GNU.sparse.realsize", &self.size),
            ],
            _ => Vec::new(),
        }
    }

    /// What comes before the data, in the format that has the map there.
    pub(super) fn before_data(&self) -> Vec<u8> {
        if self.format != "1.0" {
            return Vec::new();
        }
        let mut text = format!("{}\n", self.map.len()).into_bytes();
        for number in self.map.iter().flat_map(|(a, b)| [a, b]) {
            text.extend(bytes(number));
            text.push(b'\n');
        }
        text.resize(text.len().next_multiple_of(512), 0);
        text
    }
}

fn put_parts(to: &mut [u8], parts: &[(Value, Value)]) {
    for (place, (offset, length)) in to.chunks_exact_mut(24).zip(parts) {
        put_number(&mut place[..12], offset);
        put_number(&mut place[12..], length);
    }
}
