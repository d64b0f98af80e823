//! Corrects what Go's JSON reader accepts and serde's does not.

use std::borrow::Cow;

use memchr::arch::all::memchr::One;

/// Returns the document with each lone half of a surrogate pair replaced by the replacement character, as Go reads
/// it: such a half is not a character, and serde rejects it; RFC 8259, section 8.2.
pub fn without_lone_surrogates(json: &[u8]) -> Cow<'_, [u8]> {
    let mut mended = Cow::Borrowed(json);
    let mut at = 0;
    let backslash = One::new(b'\\');
    while let Some(found) = backslash.find(&json[at..]) {
        let escape = at + found;
        let next = |from: usize| unit(json.get(from..)?);
        at = match (next(escape), next(escape + LENGTH)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => escape + 2 * LENGTH,
            (Some(0xd800..=0xdfff), _) => {
                // It has the same length, so that the columns in errors stay correct.
                mended.to_mut()[escape..escape + LENGTH].copy_from_slice(b"\\ufffd");
                escape + LENGTH
            }
            (Some(_), _) => escape + LENGTH,
            // Another escape, which may be an escaped backslash.
            (None, _) => (escape + 2).min(json.len()),
        };
    }
    mended
}

/// The length of `\uXXXX`.
const LENGTH: usize = 6;

/// The number of a `\uXXXX` at the beginning of the text.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.get(..LENGTH)?.strip_prefix(b"\\u")?;
    let digits = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_halves_are_replaced_and_pairs_are_not() {
        for (text, expected) in [
            (r"a\ud800b", r"a\ufffdb"),
            (r"\uDFFF", r"\ufffd"),
            (r"\ud83d\u0041", r"\ufffd\u0041"),
            (r"\ud83d\ud83d\ude00", r"\ufffd\ud83d\ude00"),
            (r"\ud83d\ude00", r"\ud83d\ude00"),
            (r"\\ud800", r"\\ud800"),
            (r"\\\ud800", r"\\\ufffd"),
            (r"\ud80", r"\ud80"),
            (r"\", r"\"),
            ("", ""),
        ] {
            assert_eq!(without_lone_surrogates(text.as_bytes()), expected.as_bytes(), "{text}");
        }
    }
}
