//! Parses GVariant's text format (GLib, "GVariant Text Format"), as far as D-Bus has the types and runc accepts
//! them: everything except tuples and maybes.
//!
//! zvariant has the values but no parser for their text. The text is parsed first and typed afterwards, since the
//! type of a number or of an empty list may be given outside of it.

use zbus::zvariant::{Array, Dict, ObjectPath, Signature, Value};

/// How deep values may be nested, as in D-Bus ("Valid Signatures").
const DEPTH: usize = 32;

/// A value whose type has not been determined yet.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    Bool(bool),
    Number(String),
    Text(String),
    /// `b'text'`: bytes with a NUL at the end.
    Bytes(Vec<u8>),
    Array(Vec<Node>),
    Dict(Vec<(Node, Node)>),
    Variant(Box<Node>),
    /// A value after the name of a type, or after `@` and a signature.
    Typed(Signature, Box<Node>),
}

/// The value that `text` stands for; `None` if it is malformed.
pub(crate) fn parse(text: &str) -> Option<Value<'static>> {
    let mut reader = Reader { rest: text, depth: 0 };
    let node = reader.node()?;
    reader.space();
    if !reader.rest.is_empty() {
        return None;
    }
    typed(&node, &infer(&node)?)
}

struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Consumes `token` if it comes next.
    fn take(&mut self, token: char) -> bool {
        self.space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> String {
        let end = self.rest.find(|c: char| c.is_whitespace() || ",:]}>".contains(c));
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        word.to_owned()
    }

    fn node(&mut self) -> Option<Node> {
        self.depth += 1;
        let node = if self.depth > DEPTH { None } else { self.node_inside() };
        self.depth -= 1;
        node
    }

    fn node_inside(&mut self) -> Option<Node> {
        if self.take('[') {
            return self.list(']', Self::node).map(Node::Array);
        }
        if self.take('{') {
            let entry = |reader: &mut Self| {
                let key = reader.node()?;
                reader.take(':').then(|| reader.node())?.map(|value| (key, value))
            };
            return self.list('}', entry).map(Node::Dict);
        }
        if self.take('<') {
            let inner = self.node()?;
            return self.take('>').then(|| Node::Variant(Box::new(inner)));
        }
        match self.rest.chars().next()? {
            '\'' | '"' => self.string().map(Node::Text),
            'b' if self.rest[1..].starts_with(['\'', '"']) => {
                self.rest = &self.rest[1..];
                self.bytes().map(Node::Bytes)
            }
            '@' => {
                self.rest = &self.rest[1..];
                let signature = Signature::try_from(self.word().as_str()).ok()?;
                Some(Node::Typed(signature, Box::new(self.node()?)))
            }
            _ => {
                let word = self.word();
                match (word.as_str(), keyword(&word)) {
                    ("true", _) => Some(Node::Bool(true)),
                    ("false", _) => Some(Node::Bool(false)),
                    (_, Some(signature)) => Some(Node::Typed(signature, Box::new(self.node()?))),
                    ("", _) => None,
                    _ => Some(Node::Number(word)),
                }
            }
        }
    }

    /// Parses members up to `end`, which matches the opening bracket.
    fn list<T>(&mut self, end: char, mut member: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut members = Vec::new();
        while !self.take(end) {
            if !members.is_empty() && !self.take(',') {
                return None;
            }
            members.push(member(self)?);
        }
        Some(members)
    }

    /// Parses a quoted string with C and Unicode escapes.
    fn string(&mut self) -> Option<String> {
        let mut chars = self.rest.char_indices();
        let (_, quote) = chars.next()?;
        let mut out = String::new();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => out.push(match chars.next()?.1 {
                    'u' => code_point(&mut chars, 4)?,
                    'U' => code_point(&mut chars, 8)?,
                    other => control(other).map_or(other, char::from),
                }),
                c if c == quote => {
                    self.rest = &self.rest[at + c.len_utf8()..];
                    return Some(out);
                }
                c => out.push(c),
            }
        }
        None
    }

    /// Parses a quoted byte string with octal escapes.
    fn bytes(&mut self) -> Option<Vec<u8>> {
        let text = self.rest.as_bytes();
        let quote = *text.first()?;
        let mut out = Vec::new();
        let mut at = 1;
        while let Some(&byte) = text.get(at) {
            at += 1;
            match byte {
                b'\\' => {
                    let next = *text.get(at)?;
                    let digits = text[at..].iter().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
                    if digits > 0 {
                        let octal = std::str::from_utf8(&text[at..at + digits]).ok()?;
                        out.push(u8::from_str_radix(octal, 8).ok()?);
                        at += digits;
                    } else {
                        out.push(control(next.into()).unwrap_or(next));
                        at += 1;
                    }
                }
                b if b == quote => {
                    self.rest = self.rest.get(at..)?;
                    out.push(0);
                    return Some(out);
                }
                b => out.push(b),
            }
        }
        None
    }
}

/// The control character that a letter after a backslash stands for.
fn control(letter: char) -> Option<u8> {
    Some(match letter {
        'a' => 7,
        'b' => 8,
        't' => b'\t',
        'n' => b'\n',
        'v' => 11,
        'f' => 12,
        'r' => b'\r',
        _ => return None,
    })
}

fn code_point(chars: &mut std::str::CharIndices, digits: usize) -> Option<char> {
    let hex: String = chars.by_ref().take(digits).map(|(_, c)| c).collect();
    (hex.len() == digits).then(|| u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32))?
}

fn keyword(word: &str) -> Option<Signature> {
    Some(match word {
        "boolean" => Signature::Bool,
        "byte" => Signature::U8,
        "int16" => Signature::I16,
        "uint16" => Signature::U16,
        "int32" => Signature::I32,
        "uint32" => Signature::U32,
        "int64" => Signature::I64,
        "uint64" => Signature::U64,
        "double" => Signature::F64,
        "string" => Signature::Str,
        "objectpath" => Signature::ObjectPath,
        "signature" => Signature::Signature,
        _ => return None,
    })
}

/// The type of a value for which none is given: 32 bits for a whole number; an empty list has none.
fn infer(node: &Node) -> Option<Signature> {
    Some(match node {
        Node::Bool(_) => Signature::Bool,
        Node::Number(text) if is_fraction(text) => Signature::F64,
        Node::Number(_) => Signature::I32,
        Node::Text(_) => Signature::Str,
        Node::Bytes(_) => Signature::array(Signature::U8),
        Node::Array(members) => Signature::array(common(members.iter())?),
        Node::Dict(entries) => {
            Signature::dict(common(entries.iter().map(|(k, _)| k))?, common(entries.iter().map(|(_, v)| v))?)
        }
        Node::Variant(_) => Signature::Variant,
        Node::Typed(signature, _) => signature.clone(),
    })
}

fn is_fraction(text: &str) -> bool {
    !text.contains(['x', 'X']) && text.contains(['.', 'e', 'E']) || matches!(text, "inf" | "-inf" | "nan")
}

/// The common type of several values: an explicit type decides for all, and a fraction decides for whole numbers.
fn common<'a>(nodes: impl Iterator<Item = &'a Node> + Clone) -> Option<Signature> {
    if let Some(Node::Typed(signature, _)) = nodes.clone().find(|n| matches!(n, Node::Typed(..))) {
        return Some(signature.clone());
    }
    let mut first = None;
    for node in nodes {
        let signature = infer(node);
        if signature == Some(Signature::F64) {
            return signature;
        }
        first = first.or(signature);
    }
    first
}

fn typed(node: &Node, signature: &Signature) -> Option<Value<'static>> {
    match (node, signature) {
        (Node::Typed(said, inner), _) => (said == signature).then(|| typed(inner, said))?,
        (Node::Bool(b), Signature::Bool) => Some(Value::Bool(*b)),
        (Node::Number(text), _) => number(text, signature),
        (Node::Text(text), Signature::Str) => Some(Value::from(text.clone())),
        (Node::Text(text), Signature::ObjectPath) => Some(ObjectPath::try_from(text.clone()).ok()?.into()),
        (Node::Text(text), Signature::Signature) => {
            Some(Value::Signature(Signature::try_from(text.as_str()).ok()?))
        }
        (Node::Bytes(bytes), Signature::Array(of)) if *of.signature() == Signature::U8 => {
            Some(Value::from(bytes.clone()))
        }
        (Node::Array(members), Signature::Array(of)) => {
            let mut array = Array::new(of.signature());
            for member in members {
                array.append(typed(member, of.signature())?).ok()?;
            }
            Some(Value::Array(array))
        }
        (Node::Dict(entries), Signature::Dict { key, value }) => {
            let mut dict = Dict::new(key.signature(), value.signature());
            for (k, v) in entries {
                dict.append(typed(k, key.signature())?, typed(v, value.signature())?).ok()?;
            }
            Some(Value::Dict(dict))
        }
        (Node::Variant(inner), Signature::Variant) => {
            Some(Value::Value(Box::new(typed(inner, &infer(inner)?)?)))
        }
        _ => None,
    }
}

fn number(text: &str, signature: &Signature) -> Option<Value<'static>> {
    Some(match signature {
        Signature::U8 => Value::U8(integer(text)?),
        Signature::I16 => Value::I16(integer(text)?),
        Signature::U16 => Value::U16(integer(text)?),
        Signature::I32 => Value::I32(integer(text)?),
        Signature::U32 => Value::U32(integer(text)?),
        Signature::I64 => Value::I64(integer(text)?),
        Signature::U64 => Value::U64(integer(text)?),
        Signature::F64 => Value::F64(text.parse().ok()?),
        _ => return None,
    })
}

/// Parses an integer: decimal, hexadecimal after `0x`, or octal after `0`.
fn integer<T: TryFrom<i128>>(text: &str) -> Option<T> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let number = if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        i128::from_str_radix(hex, 16)
    } else if digits.len() > 1 && digits.starts_with('0') {
        i128::from_str_radix(digits, 8)
    } else {
        digits.parse()
    };
    T::try_from(sign * number.ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn values_have_the_types_that_the_text_gives_them() {
        for (text, value) in [
            ("true", Value::Bool(true)),
            (" 5 ", Value::I32(5)),
            ("-0", Value::I32(0)),
            ("0x10", Value::I32(16)),
            ("010", Value::I32(8)),
            ("uint64 5", Value::U64(5)),
            ("@t 5", Value::U64(5)),
            ("byte 255", Value::U8(255)),
            ("int16 -3", Value::I16(-3)),
            ("1.5", Value::F64(1.5)),
            ("1e3", Value::F64(1000.0)),
            ("double 2", Value::F64(2.0)),
            (r"'a \'b\' \n\u00e9'", Value::from("a 'b' \n\u{e9}")),
            ("\"inactive-or-failed\"", Value::from("inactive-or-failed")),
            ("string 'x'", Value::from("x")),
            (r"b'ab\0\101'", Value::from(b"ab\0A\0".to_vec())),
            ("['a', 'b']", Value::from(vec!["a", "b"])),
            ("[uint32 1, 2]", Value::from(vec![1_u32, 2])),
            ("[1, 2.5]", Value::from(vec![1.0, 2.5])),
            ("@as []", Value::from(Vec::<String>::new())),
            ("@au [1]", Value::from(vec![1_u32])),
            ("<'x'>", Value::Value(Box::new(Value::from("x")))),
            ("{'a': 1}", Value::from(HashMap::from([("a", 1)]))),
            ("{'a': <uint32 1>}", Value::from(HashMap::from([("a", Value::from(1_u32))]))),
        ] {
            assert_eq!(parse(text), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for text in [
            "",
            "text",
            "'open",
            "[1, 'a']",
            "[]",
            "[1",
            "[1,]",
            "{'a'}",
            "byte 256",
            "5 6",
            "2147483648",
            "@x 'a'",
            "@zz 1",
            "objectpath 'no'",
            "(1, 2)",
            "<",
            "b'x",
            r"'\u12'",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&("[".repeat(10_000) + "1")), None);
    }
}
