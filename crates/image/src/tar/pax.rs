//! Extended headers: pax(1), "pax Extended Header".

use std::collections::BTreeMap;

use super::Time;
use crate::error::{Error, Result, shown};
use crate::limits::size;

/// A name or an extended header is not longer than this; in bytes. Linux has paths of 4096, and attributes of 64 KiB.
pub(super) const MOST_EXTENSION: u64 = 1 << 20;

/// The records of extended headers, for one entry or for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Records {
    /// Keyword and value; the last record for a keyword counts.
    pub(crate) values: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The repeated `GNU.sparse.offset` and `GNU.sparse.numbytes`, alternating.
    pub(crate) sparse: Vec<u64>,
    /// How many bytes all of these are: of one header after the other, each within its bounds, they could become any number.
    kept: u64,
}

impl Records {
    /// Adds the records in a header's data.
    pub(crate) fn read(&mut self, data: &[u8]) -> Result<()> {
        let mut rest = data;
        while !rest.is_empty() {
            // Some programs pad the data with NUL bytes, although its size says where it ends.
            if rest.iter().all(|byte| *byte == 0) {
                return Ok(());
            }
            let (record, after) = split(rest).ok_or_else(|| {
                Error::invalid(format!(
                    "an extended header is malformed: {}: the archive is damaged",
                    shown(rest)
                ))
            })?;
            let equals = record.iter().position(|byte| *byte == b'=');
            let equals = equals.ok_or_else(|| {
                Error::invalid("an extended header has a record without `=`: the archive is damaged")
            })?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                    self.sparse.push(number(key, value)?);
                    self.kept += size_of::<u64>() as u64;
                }
                _ => self.keep(key, value),
            }
            rest = after;
        }
        self.check()
    }

    /// The last value of a keyword counts; an empty one takes back what a global header has said.
    fn keep(&mut self, key: &[u8], value: &[u8]) {
        let length = |value: &[u8]| (key.len() + value.len()) as u64;
        if let Some(old) = self.values.remove(key) {
            self.kept -= length(&old);
        }
        if !value.is_empty() {
            self.kept += length(value);
            self.values.insert(key.to_vec(), value.to_vec());
        }
    }

    fn check(&self) -> Result<()> {
        if self.kept <= MOST_EXTENSION {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "an entry has more than {} of extended headers, one after the other: the archive is damaged",
            size(MOST_EXTENSION)
        )))
    }

    pub(crate) fn get(&self, key: &str) -> Option<&[u8]> {
        self.values.get(key.as_bytes()).map(Vec::as_slice)
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>> {
        self.get(key).map(|value| number(key.as_bytes(), value)).transpose()
    }

    pub(crate) fn time(&self, key: &str) -> Result<Option<Time>> {
        let parse = |value: &[u8]| {
            time(value).ok_or_else(|| {
                Error::invalid(format!("{key} is not a time: {}: the archive is damaged", shown(value)))
            })
        };
        self.get(key).map(parse).transpose()
    }

    /// The extended attributes by name, from `SCHILY.xattr.`, which GNU tar, bsdtar, and the tar libraries of Go
    /// and Rust write.
    pub(crate) fn xattrs(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let named = |(key, value): (&Vec<u8>, &Vec<u8>)| {
            key.strip_prefix(b"SCHILY.xattr.").map(|name| (name.to_vec(), value.clone()))
        };
        self.values.iter().filter_map(named).collect()
    }
}

/// The first record, without its length and its newline, and what follows it.
fn split(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = data.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&data[..space]).ok()?.parse().ok()?;
    let record = data.get(space + 1..length)?;
    Some((record.strip_suffix(b"\n")?, &data[length..]))
}

pub(crate) fn number(key: &[u8], value: &[u8]) -> Result<u64> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| {
        Error::invalid(format!("{} is not a number: {}: the archive is damaged", shown(key), shown(value)))
    })
}

/// Parses `SECONDS[.FRACTION]`, which may be negative for a time before 1970.
fn time(value: &[u8]) -> Option<Time> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    if nanoseconds > 0 && whole.starts_with('-') {
        return Some(Time { seconds: seconds.checked_sub(1)?, nanoseconds: 1_000_000_000 - nanoseconds });
    }
    Some(Time { seconds, nanoseconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: &[u8]) -> Vec<u8> {
        let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
        let mut length = rest.len() + 1;
        while length.to_string().len() + rest.len() != length {
            length += 1;
        }
        [length.to_string().as_bytes(), &rest].concat()
    }

    #[test]
    fn values_may_hold_line_ends_and_nothing_else_is_lost() {
        let mut records = Records::default();
        let data =
            [record("SCHILY.xattr.user.a", b"x\n7 y=z\n\0"), record("path", b"a/b"), record("path", b"c")]
                .concat();
        records.read(&data).expect("records");
        assert_eq!(records.get("path"), Some(&b"c"[..]));
        assert_eq!(records.xattrs(), [(b"user.a".to_vec(), b"x\n7 y=z\n\0".to_vec())]);
        records.read(&record("path", b"")).expect("records");
        assert_eq!(records.get("path"), None);
    }

    #[test]
    fn damage_is_an_error() {
        for data in [&b"99 path=a\n"[..], b"x path=a\n", b"10 path=abX", b"7 path\n", b"3 a"] {
            assert!(Records::default().read(data).is_err(), "{}", shown(data));
        }
    }

    #[test]
    fn times_have_fractions_and_may_be_before_1970() {
        for (text, seconds, nanoseconds) in [
            ("0", 0, 0),
            ("12.5", 12, 500_000_000),
            ("-1.25", -2, 750_000_000),
            ("-3", -3, 0),
            ("1.0000000009", 1, 0),
        ] {
            assert_eq!(time(text.as_bytes()), Some(Time { seconds, nanoseconds }), "{text}");
        }
        for text in ["", "a", "1.x", "1.-1"] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
    }
}
