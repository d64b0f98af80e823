//! Lists where an object belongs.
//!
//! serde's derived types accept a list in place of an object, as the values of its fields in their order, so that
//! `"user": []` would be read as a user. A document with a list in an unusual place is detected without parsing it,
//! and then read by way of [`Strict`], which accepts only objects.

use memchr::arch::all::memchr::One;
use serde::Deserializer;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Error as _, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};

/// Every field of config.json that is a list, in alphabetical order.
const LISTS: [&str; 35] = [
    "additionalGids",
    "ambient",
    "architectures",
    "args",
    "bounding",
    "createContainer",
    "createRuntime",
    "devices",
    "effective",
    "env",
    "flags",
    "gidMappings",
    "hugepageLimits",
    "inheritable",
    "maskedPaths",
    "mounts",
    "names",
    "namespaces",
    "options",
    "permitted",
    "poststart",
    "poststop",
    "prestart",
    "priorities",
    "readonlyPaths",
    "rlimits",
    "schemata",
    "startContainer",
    "syscalls",
    "throttleReadBpsDevice",
    "throttleReadIOPSDevice",
    "throttleWriteBpsDevice",
    "throttleWriteIOPSDevice",
    "uidMappings",
    "weightDevice",
];

/// Whether every list in the document is the value of a field that is a list. A string that looks like another list
/// makes this false as well: the document is then examined again, which does no harm.
pub(super) fn lists_are_usual(json: &[u8]) -> bool {
    positions(b'[', json).all(|bracket| match json[..bracket].trim_ascii_end().split_last() {
        Some((b':', before)) => key(before).is_none_or(is_list),
        // An entry of a list, or the document itself.
        Some((b'[' | b',', _)) | None => false,
        // Inside a string.
        Some(_) => true,
    })
}

/// The positions of a byte, eight bytes at a time. `memchr::memchr` would query the processor's features on its first
/// search: in a virtual machine each query traps to the hypervisor, 40 microseconds together, more than a document
/// takes.
pub(super) fn positions(byte: u8, json: &[u8]) -> impl Iterator<Item = usize> {
    let (one, mut at) = (One::new(byte), 0);
    std::iter::from_fn(move || {
        let found = at + one.find(&json[at..])?;
        at = found + 1;
        Some(found)
    })
}

/// Whether an object of the document may have this key, in any case. One with an escape may be any.
pub(super) fn may_have(wanted: &str, json: &[u8]) -> bool {
    let may_be = |key: &[u8]| key.eq_ignore_ascii_case(wanted.as_bytes()) || key.contains(&b'\\');
    positions(b':', json).filter_map(|colon| key(&json[..colon])).any(may_be)
}

/// The key that ends here; `None` if it is not a key, because it is inside a string.
pub(super) fn key(before: &[u8]) -> Option<&[u8]> {
    let before = before.trim_ascii_end().strip_suffix(b"\"")?;
    let start = before.iter().rposition(|byte| *byte == b'"').map_or(0, |quote| quote + 1);
    Some(&before[start..])
}

fn is_list(key: &[u8]) -> bool {
    LISTS.binary_search_by(|list| list.as_bytes().cmp(key)).is_ok()
}

/// Deserializes a document in which no list stands for an object.
pub(super) struct Strict(pub(super) Value);

impl IntoDeserializer<'_, Error> for Strict {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Strict {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(items) => visitor.visit_seq(SeqDeserializer::new(items.into_iter().map(Strict))),
            Value::Object(members) => {
                let members = members.into_iter().map(|(key, value)| (key, Strict(value)));
                visitor.visit_map(MapDeserializer::new(members))
            }
            scalar => scalar.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(_) => Err(Error::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A document with every field of the specification must take the fast path.
    #[test]
    fn every_list_of_the_specification_is_known() {
        let full = include_str!("../../../runtime/src/plan/full.json");
        assert!(lists_are_usual(full.as_bytes()));
        assert!(LISTS.is_sorted());
        let compact: String = full.split_whitespace().collect();
        for list in LISTS {
            assert!(compact.contains(&format!("\"{list}\":[")), "{list} is no list of the specification");
        }
    }

    #[test]
    fn usual_lists_are_known_at_a_glance() {
        for (json, usual) in [
            (r#"{"args": ["a", "[ -e x ] && echo [", "b: [x"], "env" :["A=1"]}"#, true),
            (r#"{"user": []}"#, false),
            (r#"{"us\u0065r" : [0]}"#, false),
            (r#"{"mounts":[["/tmp"]]}"#, false),
            (r#"{"mounts":[{}, ["/tmp"]]}"#, false),
            (r#"{"mounts":[ [1]]}"#, false),
            ("[]", false),
            (" \n [1]", false),
            ("{}", true),
            ("", true),
        ] {
            assert_eq!(lists_are_usual(json.as_bytes()), usual, "{json}");
        }
    }
}
