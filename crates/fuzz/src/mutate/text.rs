//! Mutates text by its lines and words, and by its bytes.

use fastrand::Rng;

use super::values::{self, pick};

/// What the corpus provides: its lines and its words.
#[derive(Default)]
pub(super) struct Parts {
    lines: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Parts {
    pub(super) fn of<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut parts = Self::default();
        for line in texts.flat_map(|text| text.split(|byte| *byte == b'\n')) {
            parts.lines.push(line.to_vec());
            parts.words.extend(words(line).map(|(start, end)| line[start..end].to_vec()));
        }
        parts.words.sort_unstable();
        parts.words.dedup();
        parts
    }
}

/// The positions at which the words of a line begin and end.
fn words(line: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'/' | b'-');
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + line[at..].iter().position(is_word)?;
        let end = line[start..].iter().position(|byte| !is_word(byte)).map_or(line.len(), |end| start + end);
        at = end;
        Some((start, end))
    })
}

/// Changes a text in one place.
pub(super) fn change(text: &mut Vec<u8>, rng: &mut Rng, parts: &Parts) {
    match rng.u32(..1000) {
        0..300 => change_line(text, rng, parts),
        300..800 => change_word(text, rng, parts),
        800..997 => change_bytes(text, rng),
        _ => blow_up(text, rng),
    }
}

fn change_line(text: &mut Vec<u8>, rng: &mut Rng, parts: &Parts) {
    let mut lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let at = rng.usize(..lines.len());
    match rng.u32(..5) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[at].clone()),
        2 => lines.swap(at, rng.usize(..=at)),
        3 if !parts.lines.is_empty() => lines[at].clone_from(&parts.lines[rng.usize(..parts.lines.len())]),
        _ if !parts.lines.is_empty() => lines.insert(at, parts.lines[rng.usize(..parts.lines.len())].clone()),
        _ => {}
    }
    *text = lines.join(&b'\n');
}

fn change_word(text: &mut Vec<u8>, rng: &mut Rng, parts: &Parts) {
    let all: Vec<(usize, usize)> = words(text).take(5000).collect();
    if all.is_empty() {
        return text.extend(values::string(rng).as_bytes());
    }
    let (start, end) = pick(rng, &all);
    let new = match rng.u32(..5) {
        0 if !parts.words.is_empty() => parts.words[rng.usize(..parts.words.len())].clone(),
        1 => text[start..end].repeat(rng.usize(2..4)),
        2 => Vec::new(),
        3 => {
            let other = pick(rng, &all);
            text[other.0..other.1].to_vec()
        }
        _ => values::string(rng).into_bytes(),
    };
    text.splice(start..end, new);
}

fn change_bytes(text: &mut Vec<u8>, rng: &mut Rng) {
    if text.is_empty() {
        return text.push(rng.u8(..));
    }
    let at = rng.usize(..text.len());
    match rng.u32(..6) {
        0 => text[at] ^= 1 << rng.u32(..8),
        1 => text[at] = rng.u8(..),
        2 => text.insert(at, pick(rng, b" \t\n:,=-'\"\\/<>[]{}()@b\0")),
        3 => drop(text.remove(at)),
        4 => text.truncate(at),
        _ => {
            let end = text.len().min(at + rng.usize(..40));
            let part = text[at..end].to_vec();
            let to = rng.usize(..text.len());
            text.splice(to..to, part);
        }
    }
}

/// Repeats a line many times.
fn blow_up(text: &mut Vec<u8>, rng: &mut Rng) {
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let Some(line) = lines.get(rng.usize(..lines.len().max(1))).map(|line| line.to_vec()) else { return };
    let most = if rng.u32(..4) == 0 { 20_000 } else { 300 };
    let many = rng.usize(2..most).min(1_000_000 / line.len().max(1));
    text.extend(line.repeat(many));
}
