//! An entry with all of its headers.

use serde_json::{Value, json};

use super::bytes::{bytes, put, put_number};
use super::sparse::Sparse;

const BLOCK: usize = 512;

/// The bytes of an entry: those of extended headers, of its header and of its data.
pub(super) fn encoded(entry: &Value) -> Vec<u8> {
    let name = name_of(entry);
    let target = bytes(&entry["link"]);
    let sparse = (!entry["sparse"].is_null()).then(|| Sparse::of(&entry["sparse"]));
    let mut all = Vec::new();
    let mut extend = |kind: u8, data: &[u8]| {
        if !data.is_empty() {
            all.extend(block(&json!({"name": "./@Extended", "type": [kind]}), data.len(), None));
            all.extend(padded(data));
        }
    };
    extend(b'g', &records(&entry["global"], Vec::new()));
    extend(b'L', &long(&entry["longName"], &name));
    extend(b'K', &long(&entry["longLink"], &target));
    let of_map = sparse.as_ref().map(|sparse| sparse.records(&name)).unwrap_or_default();
    extend(b'x', &records(&entry["pax"], of_map));
    let mut data = sparse.as_ref().map(Sparse::before_data).unwrap_or_default();
    data.extend(bytes(&entry["data"]));
    all.extend(block(entry, data.len(), sparse.as_ref()));
    all.extend(padded(&data));
    all
}

/// Without a name, an entry would mean the root, which is refused for the most part.
fn name_of(entry: &Value) -> Vec<u8> {
    match &entry["name"] {
        Value::Null => b"file".to_vec(),
        name => bytes(name),
    }
}

/// An entry of a file as usual programs write it.
pub(super) fn file(name: &str, data: &[u8]) -> Vec<u8> {
    let header = block(&json!({"name": name}), data.len(), None);
    [header, padded(data)].concat()
}

/// A name of GNU tar's, which has an end; one that does not fit into its header has one always.
fn long(wanted: &Value, short: &[u8]) -> Vec<u8> {
    match wanted {
        Value::Null if short.len() > 100 => [short, b"\0"].concat(),
        Value::Null => Vec::new(),
        wanted => [&bytes(wanted)[..], b"\0"].concat(),
    }
}

/// Records of an extended header, pax(1): members of an object, or a list of pairs, in which a key may come twice.
fn records(wanted: &Value, more: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<u8> {
    let mut all = more;
    match wanted {
        Value::Object(members) => {
            all.extend(members.iter().map(|(key, value)| (key.clone().into_bytes(), bytes(value))));
        }
        Value::Array(pairs) => all.extend(pairs.iter().map(|pair| (bytes(&pair[0]), bytes(&pair[1])))),
        // Not in the form of records.
        other => return bytes(other),
    }
    all.iter().flat_map(|(key, value)| record(key, value)).collect()
}

fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key, b"=", value, b"\n"].concat();
    let mut length = rest.len() + 1;
    while length.to_string().len() + rest.len() != length {
        length += 1;
    }
    [length.to_string().as_bytes(), &rest].concat()
}

fn padded(data: &[u8]) -> Vec<u8> {
    let mut blocks = data.to_vec();
    blocks.resize(data.len().next_multiple_of(BLOCK), 0);
    blocks
}

/// A header, with the blocks of a map behind it.
fn block(entry: &Value, size: usize, sparse: Option<&Sparse<'_>>) -> Vec<u8> {
    let mut header = [0; BLOCK];
    let is_old = sparse.is_some_and(Sparse::is_old);
    let kind = match &entry["type"] {
        Value::Null if is_old => b'S',
        Value::Null => b'0',
        kind => bytes(kind).first().copied().unwrap_or(0),
    };
    put(&mut header[..100], &name_of(entry));
    let usual_mode = if kind == b'5' { 0o755 } else { 0o644 };
    for (name, field, usual) in [
        ("mode", 100..108, usual_mode),
        ("uid", 108..116, 0),
        ("gid", 116..124, 0),
        ("size", 124..136, size as u64),
        ("mtime", 136..148, 1_000_000_000),
        ("major", 329..337, 0),
        ("minor", 337..345, 0),
    ] {
        match &entry[name] {
            Value::Null => put_number(&mut header[field], &json!(usual)),
            value => put_number(&mut header[field], value),
        }
    }
    header[156] = kind;
    put(&mut header[157..257], &bytes(&entry["link"]));
    put(&mut header[257..265], magic(&entry["format"]));
    if !entry["prefix"].is_null() {
        put(&mut header[345..500], &bytes(&entry["prefix"]));
    }
    let more = sparse.filter(|_| is_old).map(|sparse| sparse.put_old(&mut header)).unwrap_or_default();
    overwrite(&mut header, &entry["header"]);
    put_sum(&mut header, &entry["checksum"]);
    [&header[..], &more].concat()
}

fn magic(format: &Value) -> &'static [u8] {
    match format.as_str() {
        Some("ustar") => b"ustar\x0000",
        Some("v7") => b"",
        _ => b"ustar  \0",
    }
}

/// Bytes by the offset that they begin at.
fn overwrite(header: &mut [u8; BLOCK], wanted: &Value) {
    for (at, value) in wanted.as_object().into_iter().flatten() {
        let at = at.parse().unwrap_or(BLOCK).min(BLOCK);
        put(&mut header[at..], &bytes(value));
    }
}

fn put_sum(header: &mut [u8; BLOCK], wanted: &Value) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    let field = &mut header[148..156];
    if wanted.is_null() {
        put(field, format!("{sum:06o}\0").as_bytes());
    } else {
        put_number(field, wanted);
    }
}
