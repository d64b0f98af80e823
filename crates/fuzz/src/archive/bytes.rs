//! What values of a document stand for.

use serde_json::{Map, Value};

/// No value stands for more bytes than this: an extended header of more than a megabyte is refused, and one has to be made.
const MOST: usize = (1 << 20) + 4096;

/// The bytes of a value: a string's are its UTF-8, the numbers of a list are one byte each, and `{"repeat": V, "times": N}` is
/// what it says.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    let mut all = match value {
        Value::Null => Vec::new(),
        Value::Bool(flag) => vec![u8::from(*flag)],
        Value::Number(number) => number.to_string().into_bytes(),
        Value::String(text) => text.clone().into_bytes(),
        Value::Array(items) => items.iter().take(MOST).flat_map(item).collect(),
        Value::Object(members) => repeated(members),
    };
    all.truncate(MOST);
    all
}

fn item(value: &Value) -> Vec<u8> {
    match value.as_i64() {
        Some(number) => vec![number as u8],
        None => bytes(value),
    }
}

fn repeated(members: &Map<String, Value>) -> Vec<u8> {
    let part = members.get("repeat").map(bytes).unwrap_or_default();
    let times = number(members.get("times"), 1);
    let most = MOST / part.len().max(1) + 1;
    part.repeat(usize::try_from(times).unwrap_or(usize::MAX).min(most))
}

/// A number, or `usual` where the value is none that is not negative.
pub(crate) fn number(value: Option<&Value>, usual: u64) -> u64 {
    value.and_then(Value::as_u64).unwrap_or(usual)
}

/// Puts a number into a field of a header: in octal digits if there is room, as GNU tar's binary form otherwise. Another value
/// is put there as its bytes.
pub(super) fn put_number(field: &mut [u8], value: &Value) {
    match (value.as_u64(), value.as_i64()) {
        (Some(number), _) if format!("{number:o}").len() < field.len() => {
            let width = field.len() - 1;
            put(field, format!("{number:0width$o}\0").as_bytes());
        }
        (Some(number), _) => put_binary(field, 0x80, number),
        (None, Some(negative)) => put_binary(field, 0xff, negative as u64),
        (None, None) => put(field, &bytes(value)),
    }
}

fn put_binary(field: &mut [u8], first: u8, number: u64) {
    field.fill(if first == 0xff { 0xff } else { 0 });
    let start = field.len() - 8;
    field[start..].copy_from_slice(&number.to_be_bytes());
    field[0] |= first;
}

/// Puts as much of a text into a field as there is room for.
pub(super) fn put(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_value_stands_for_bytes_of_a_bounded_number() {
        for (value, wanted) in [
            (json!("ä"), "ä".as_bytes()),
            (json!([255, "a", [0]]), &[255, b'a', 0]),
            (json!({"repeat": "ab", "times": 2}), b"abab"),
            (json!(7), b"7"),
            (json!(null), b""),
        ] {
            assert_eq!(bytes(&value), wanted, "{value}");
        }
        assert_eq!(bytes(&json!({"repeat": "abc", "times": u64::MAX})).len(), MOST);
    }

    #[test]
    fn numbers_of_any_size_have_a_place_in_a_header() {
        let field = |value: Value| {
            let mut field = [0; 8];
            put_number(&mut field, &value);
            field
        };
        assert_eq!(field(json!(0o644)), *b"0000644\0");
        assert_eq!(field(json!(0o7_777_777)), *b"7777777\0");
        assert_eq!(field(json!(0o10_000_000)), [0x80, 0, 0, 0, 0, 0x20, 0, 0]);
        assert_eq!(field(json!(-1)), [0xff; 8]);
        assert_eq!(field(json!("x")), *b"x\0\0\0\0\0\0\0");
    }
}
