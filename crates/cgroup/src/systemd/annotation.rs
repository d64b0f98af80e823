//! Unit properties from annotations: `org.systemd.property.NAME` with a value in `GVariant` text
//! format, as runc and crun take them.

use zbus::zvariant::{Array, ObjectPath, Value};

use super::bus::Property;
use crate::CgroupError;

const PREFIX: &str = "org.systemd.property.";

/// The property that an annotation stands for; `None` when it stands for none.
///
/// A name in `Sec`, with a number of seconds, is the one in `USec` that D-Bus has, as in unit
/// files.
pub(crate) fn property(key: &str, value: &str) -> Result<Option<Property>, CgroupError> {
    let Some(name) = key.strip_prefix(PREFIX) else { return Ok(None) };
    let invalid = |reason| CgroupError::Annotation { key: key.to_owned(), value: value.to_owned(), reason };
    if name.len() < 3 || !name.bytes().all(|b| b.is_ascii_alphabetic()) {
        return Err(invalid("a property's name has at least three letters and nothing else"));
    }
    let parsed = parse(value).ok_or_else(|| {
        invalid("write it as GVariant text: true, 5, uint64 5, 1.5, 'text', or ['one', 'two']")
    })?;
    let base = name.strip_suffix("Sec").filter(|base| base.ends_with(|c: char| c.is_ascii_lowercase()));
    let Some(base) = base else { return Ok(Some((name.to_owned(), parsed))) };
    let usec = microseconds(&parsed).ok_or_else(|| invalid("must be a number of seconds"))?;
    Ok(Some((format!("{base}USec"), Value::U64(usec))))
}

fn microseconds(seconds: &Value) -> Option<u64> {
    let whole = match *seconds {
        Value::U8(n) => u64::from(n),
        Value::U16(n) => u64::from(n),
        Value::U32(n) => u64::from(n),
        Value::U64(n) => n,
        Value::I16(n) => u64::try_from(n).ok()?,
        Value::I32(n) => u64::try_from(n).ok()?,
        Value::I64(n) => u64::try_from(n).ok()?,
        Value::F64(n) if n >= 0.0 => return Some((n * 1e6) as u64),
        _ => return None,
    };
    whole.checked_mul(1_000_000)
}

fn parse(text: &str) -> Option<Value<'static>> {
    let (value, rest) = value(text.trim())?;
    rest.trim().is_empty().then_some(value)
}

/// The value at the start of `text`, and what follows it.
fn value(text: &str) -> Option<(Value<'static>, &str)> {
    let text = text.trim_start();
    match text.chars().next()? {
        '[' => array(text),
        '\'' | '"' => string(text).map(|(s, rest)| (Value::from(s), rest)),
        _ => {
            let end = text.find([',', ']', ' ']).unwrap_or(text.len());
            let (word, rest) = text.split_at(end);
            match word {
                "true" => Some((Value::Bool(true), rest)),
                "false" => Some((Value::Bool(false), rest)),
                _ if word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '@') => typed(word, rest),
                _ if word.contains('.') => Some((Value::F64(word.parse().ok()?), rest)),
                _ => Some((Value::I32(integer(word)?), rest)),
            }
        }
    }
}

/// A value after the name of its type, or after `@` and its signature.
fn typed<'a>(kind: &str, rest: &'a str) -> Option<(Value<'static>, &'a str)> {
    let rest = rest.trim_start();
    if matches!(kind, "string" | "@s" | "objectpath" | "@o") {
        let (text, rest) = string(rest)?;
        let value =
            if kind.contains('o') { ObjectPath::try_from(text).ok()?.into() } else { Value::from(text) };
        return Some((value, rest));
    }
    let end = rest.find([',', ']', ' ']).unwrap_or(rest.len());
    let (word, rest) = rest.split_at(end);
    let value = match kind {
        "boolean" | "@b" => Value::Bool(word.parse().ok()?),
        "byte" | "@y" => Value::U8(integer(word)?),
        "int16" | "@n" => Value::I16(integer(word)?),
        "uint16" | "@q" => Value::U16(integer(word)?),
        "int32" | "@i" => Value::I32(integer(word)?),
        "uint32" | "@u" => Value::U32(integer(word)?),
        "int64" | "@x" => Value::I64(integer(word)?),
        "uint64" | "@t" => Value::U64(integer(word)?),
        "double" | "@d" => Value::F64(word.parse().ok()?),
        _ => return None,
    };
    Some((value, rest))
}

fn integer<T: TryFrom<i128>>(word: &str) -> Option<T> {
    let number = match word.strip_prefix("0x") {
        Some(hex) => i128::from_str_radix(hex, 16),
        None => word.parse(),
    };
    T::try_from(number.ok()?).ok()
}

/// A quoted string with backslash escapes.
fn string(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => out.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            c if c == quote => return Some((out, &text[at + 1..])),
            c => out.push(c),
        }
    }
    None
}

/// Values of one type between brackets. An empty one has no type and so no value.
fn array(text: &str) -> Option<(Value<'static>, &str)> {
    let mut rest = text.strip_prefix('[')?;
    let mut array: Option<Array<'static>> = None;
    loop {
        let (element, after) = value(rest)?;
        let array = array.get_or_insert_with(|| Array::new(element.value_signature()));
        array.append(element).ok()?;
        rest = after.trim_start();
        match rest.chars().next()? {
            ',' => rest = &rest[1..],
            ']' => break,
            _ => return None,
        }
    }
    Some((Value::Array(array?), &rest[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_gvariant_text() {
        for (text, value) in [
            ("true", Value::Bool(true)),
            ("5", Value::I32(5)),
            ("-0", Value::I32(0)),
            ("0x10", Value::I32(16)),
            ("uint64 5", Value::U64(5)),
            ("@t 5", Value::U64(5)),
            ("1.5", Value::F64(1.5)),
            ("'a \\'b\\''", Value::from("a 'b'")),
            ("\"inactive-or-failed\"", Value::from("inactive-or-failed")),
            ("string 'x'", Value::from("x")),
            ("['a', 'b']", Value::from(vec!["a", "b"])),
            ("[uint32 1,uint32 2]", Value::from(vec![1_u32, 2])),
        ] {
            assert_eq!(parse(text), Some(value), "{text}");
        }
        for text in ["", "text", "'open", "[1, 'a']", "[]", "byte 256", "5 6", "2147483648"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn seconds_become_microseconds() {
        let found = property("org.systemd.property.TimeoutStopSec", "uint64 3").unwrap();
        assert_eq!(found, Some(("TimeoutStopUSec".to_owned(), Value::U64(3_000_000))));
        let found = property("org.systemd.property.TimeoutStopUSec", "uint64 3").unwrap();
        assert_eq!(found, Some(("TimeoutStopUSec".to_owned(), Value::U64(3))));
        assert!(property("org.systemd.property.TimeoutStopSec", "'soon'").is_err());
    }

    #[test]
    fn other_annotations_and_bad_names_are_told_apart() {
        assert_eq!(property("com.example.thing", "x").unwrap(), None);
        assert!(property("org.systemd.property.A", "true").is_err());
        assert!(property("org.systemd.property.Some.Thing", "true").is_err());
    }
}
