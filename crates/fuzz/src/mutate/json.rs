//! Mutates JSON by its structure.

use std::collections::BTreeSet;

use fastrand::Rng;
use serde_json::{Map, Value};

use super::values::{self, pick};

/// What the corpus provides: parts of its documents, its names and its strings.
#[derive(Default)]
pub(super) struct Parts {
    values: Vec<Value>,
    names: Vec<String>,
    strings: Vec<String>,
}

impl Parts {
    pub(super) fn of(documents: &[Value]) -> Self {
        let (mut values, mut names, mut strings) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for document in documents {
            collect(document, &mut values, &mut names, &mut strings);
        }
        Self { values, names: names.into_iter().collect(), strings: strings.into_iter().collect() }
    }
}

fn collect(
    value: &Value,
    values: &mut Vec<Value>,
    names: &mut BTreeSet<String>,
    strings: &mut BTreeSet<String>,
) {
    values.push(value.clone());
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                names.insert(name.clone());
                collect(member, values, names, strings);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, values, names, strings)),
        Value::String(text) => drop(strings.insert(text.clone())),
        _ => {}
    }
}

/// The largest number of values that a list or an object is extended to, which reveals quadratic run time.
const MANY: usize = 20_000;

/// Changes a document in one place.
pub(super) fn change(document: &mut Value, rng: &mut Rng, parts: &Parts) {
    let at = rng.usize(..count(document));
    let Some(place) = nth(document, &mut { at }) else { return };
    match rng.u32(..1000) {
        0..70 => *place = values::value(rng),
        70..250 => *place = values::like(place, rng),
        250..350 => *place = part(rng, parts),
        350..500 => remove(place, rng),
        500..650 => add(place, rng, parts),
        650..700 => rename(place, rng, parts),
        700..780 => exchange(document, rng),
        780..950 => tweak(place, rng, parts),
        950..998 => *place = wrapped(std::mem::take(place), rng, parts),
        _ => blow_up(place, rng),
    }
}

fn part(rng: &mut Rng, parts: &Parts) -> Value {
    if parts.values.is_empty() { Value::Null } else { parts.values[rng.usize(..parts.values.len())].clone() }
}

fn name(rng: &mut Rng, parts: &Parts) -> String {
    if parts.names.is_empty() || rng.u32(..8) == 0 {
        values::string(rng)
    } else {
        parts.names[rng.usize(..parts.names.len())].clone()
    }
}

/// The number of values, including this one.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Object(members) => members.values().map(count).sum(),
        Value::Array(items) => items.iter().map(count).sum::<usize>(),
        _ => 0,
    }
}

/// The value with index `n`, in the order of the text.
fn nth<'a>(value: &'a mut Value, n: &mut usize) -> Option<&'a mut Value> {
    if *n == 0 {
        return Some(value);
    }
    *n -= 1;
    match value {
        Value::Object(members) => members.values_mut().find_map(|child| nth(child, n)),
        Value::Array(items) => items.iter_mut().find_map(|child| nth(child, n)),
        _ => None,
    }
}

fn key_of(members: &Map<String, Value>, rng: &mut Rng) -> Option<String> {
    if members.is_empty() { None } else { members.keys().nth(rng.usize(..members.len())).cloned() }
}

fn remove(place: &mut Value, rng: &mut Rng) {
    match place {
        Value::Object(members) => {
            if let Some(key) = key_of(members, rng) {
                members.remove(&key);
            }
        }
        Value::Array(items) if !items.is_empty() => drop(items.remove(rng.usize(..items.len()))),
        other => *other = Value::Null,
    }
}

fn add(place: &mut Value, rng: &mut Rng, parts: &Parts) {
    let new = if rng.bool() { values::value(rng) } else { part(rng, parts) };
    match place {
        Value::Object(members) => drop(members.insert(name(rng, parts), new)),
        Value::Array(items) => {
            let at = rng.usize(..=items.len());
            // Usually one of the existing values, or a similar one.
            let again = match items.get(rng.usize(..items.len().max(1))) {
                Some(item) if rng.u32(..4) > 0 => item.clone(),
                Some(item) if rng.bool() => values::like(item, rng),
                _ => new,
            };
            items.insert(at, again);
        }
        other => *other = new,
    }
}

fn rename(place: &mut Value, rng: &mut Rng, parts: &Parts) {
    let Value::Object(members) = place else { return };
    let Some(key) = key_of(members, rng) else { return };
    let value = members.remove(&key).unwrap_or_default();
    let new = match rng.u32(..4) {
        0 => key.to_uppercase(),
        1 => key.to_lowercase(),
        _ => name(rng, parts),
    };
    members.insert(new, value);
}

/// Puts each of two parts in the place of the other, or puts one of them inside the other.
fn exchange(document: &mut Value, rng: &mut Rng) {
    let mut take = |document: &mut Value, with: Value| {
        let at = rng.usize(..count(document));
        nth(document, &mut { at }).map_or(Value::Null, |place| std::mem::replace(place, with))
    };
    let one = take(document, Value::Null);
    let other = take(document, one);
    take(document, other);
}

fn tweak(place: &mut Value, rng: &mut Rng, parts: &Parts) {
    match place {
        Value::Bool(flag) => *flag = !*flag,
        Value::Null | Value::Array(_) | Value::Object(_) => add(place, rng, parts),
        Value::Number(number) => {
            let by = pick(rng, &[-1, 1, 2, -4096, 1000, 65_536]);
            *place = match (number.as_i64(), rng.u32(..3)) {
                (Some(n), 0) => n.wrapping_neg().into(),
                (Some(n), 1) => n.wrapping_mul(by).into(),
                (Some(n), _) => n.wrapping_add(by).into(),
                (None, _) => u64::MAX.into(),
            };
        }
        Value::String(text) => *text = word(text, rng, parts),
    }
}

/// Another string: one similar to the former one, one of another field, or one with something added.
fn word(text: &str, rng: &mut Rng, parts: &Parts) -> String {
    let cut: String = text.chars().take(rng.usize(..=text.chars().count())).collect();
    match rng.u32(..7) {
        0 => cut,
        1 => format!("{cut}{}{}", values::string(rng), &text[cut.len()..]),
        2 => format!("{text}{}", values::string(rng)),
        3 => text.to_uppercase(),
        4 => format!("{text},{text}"),
        _ if parts.strings.is_empty() => values::string(rng),
        _ => parts.strings[rng.usize(..parts.strings.len())].clone(),
    }
}

fn wrapped(value: Value, rng: &mut Rng, parts: &Parts) -> Value {
    match value {
        // The reverse is as likely to matter: a single value where a list may be.
        Value::Array(mut items) if !items.is_empty() && rng.bool() => items.swap_remove(0),
        value if rng.bool() => Value::Array(vec![value]),
        value => Value::Object([(name(rng, parts), value)].into_iter().collect()),
    }
}

fn blow_up(place: &mut Value, rng: &mut Rng) {
    let most = if rng.u32(..4) == 0 { MANY } else { 300 };
    let many = rng.usize(2..most);
    match place {
        Value::Array(items) if !items.is_empty() => {
            let item = items[rng.usize(..items.len())].clone();
            // Repeating a large value as often would take a gigabyte.
            let many = many.min(1_000_000 / item.to_string().len().max(1));
            items.extend(std::iter::repeat_n(item, many));
        }
        Value::Object(members) => members.extend((0..many).map(|n| (format!("k{n}"), Value::from("v")))),
        Value::String(text) => *text = text.repeat(many.min(1_000_000 / text.len().max(1))),
        other => *other = Value::Array((0..many).map(Value::from).collect()),
    }
}

/// Makes changes that are possible only in text: duplicate names, numbers that do not fit, and invalid JSON.
pub(super) fn change_text(text: &mut String, rng: &mut Rng) {
    let colons: Vec<usize> = text.match_indices("\":").map(|(at, _)| at).take(2000).collect();
    if colons.is_empty() {
        return;
    }
    let colon = pick(rng, &colons);
    if rng.bool() {
        // The name that ends here.
        if let Some(start) = text[..colon].rfind('"') {
            let again = format!("{}\":{},", &text[start..colon], values::raw(rng));
            text.insert_str(start, &again);
        }
    } else {
        let start = colon + 2;
        let end = text[start..].find([',', '}', ']']).map_or(text.len(), |end| start + end);
        text.replace_range(start..end, values::raw(rng));
    }
}
