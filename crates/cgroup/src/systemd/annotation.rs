//! Unit properties from annotations: `org.systemd.property.NAME` with a value in `GVariant` text
//! format, as runc and crun take them.

use zbus::zvariant::Value;

use super::bus::Property;
use super::gvariant::parse;
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

#[cfg(test)]
mod tests {
    use super::*;

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
