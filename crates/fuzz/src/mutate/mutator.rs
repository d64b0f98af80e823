//! Generates inputs one after the other, from a seed and the corpus.

use fastrand::Rng;
use serde_json::Value;

use super::{json, text};

/// The format of inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON documents.
    Json,
    /// Lines of text.
    Text,
}

/// An input from which others are made.
pub struct Seed {
    bytes: Vec<u8>,
    document: Option<Value>,
}

impl Seed {
    /// Makes a seed from an input in this format; invalid JSON is changed as text.
    pub fn new(format: Format, bytes: Vec<u8>) -> Self {
        let document = if format == Format::Json { serde_json::from_slice(&bytes).ok() } else { None };
        Self { bytes, document }
    }
}

/// Changes inputs.
pub struct Mutator {
    rng: Rng,
    json: json::Parts,
    text: text::Parts,
}

/// Longer inputs are cut: none of the files that are parsed has more bytes.
const MOST: usize = 2 << 20;

impl Mutator {
    /// Starts from a seed, and takes what it adds from `corpus`.
    pub fn new(seed: u64, corpus: &[Seed]) -> Self {
        let documents: Vec<Value> = corpus.iter().filter_map(|seed| seed.document.clone()).collect();
        Self {
            rng: Rng::with_seed(seed),
            json: json::Parts::of(&documents),
            text: text::Parts::of(corpus.iter().map(|seed| seed.bytes.as_slice())),
        }
    }

    /// The next input, made from one of the pool. Every other one is made from the first `kept`, which are the
    /// corpus: those that were added later are mostly refused, and so is what is made from them.
    pub fn next(&mut self, pool: &[Seed], kept: usize) -> Vec<u8> {
        let among = if self.rng.bool() { kept } else { pool.len() };
        let seed = &pool[self.rng.usize(..among)];
        let mut changes = 1;
        while changes < 8 && self.rng.bool() {
            changes += 1;
        }
        let mut input = match &seed.document {
            // One in ten is changed as text, so that there is also invalid JSON.
            Some(document) if self.rng.u32(..10) > 0 => self.changed(document.clone(), changes),
            _ => {
                let mut text = seed.bytes.clone();
                (0..changes).for_each(|_| text::change(&mut text, &mut self.rng, &self.text));
                text
            }
        };
        input.truncate(MOST);
        input
    }

    fn changed(&mut self, mut document: Value, changes: usize) -> Vec<u8> {
        (0..changes).for_each(|_| json::change(&mut document, &mut self.rng, &self.json));
        let mut text = document.to_string();
        if self.rng.u32(..12) == 0 {
            json::change_text(&mut text, &mut self.rng);
        }
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(format: Format, seed: u64, corpus: &str) -> Vec<Vec<u8>> {
        let pool = [Seed::new(format, corpus.as_bytes().to_vec())];
        let mut mutator = Mutator::new(seed, &pool);
        (0..300).map(|_| mutator.next(&pool, 1)).collect()
    }

    #[test]
    fn a_seed_gives_the_same_inputs_again() {
        for (format, text) in [(Format::Json, r#"{"a": [1, "b"]}"#), (Format::Text, "a b\nc:1:2\n")] {
            assert_eq!(inputs(format, 7, text), inputs(format, 7, text));
            assert_ne!(inputs(format, 7, text), inputs(format, 8, text));
        }
    }

    #[test]
    fn documents_stay_json_mostly_and_differ_from_where_they_began() {
        let text = r#"{"process":{"args":["sh"],"env":["A=b"],"user":{"uid":1}}}"#;
        let all = inputs(Format::Json, 1, text);
        let read = all.iter().filter(|input| serde_json::from_slice::<Value>(input).is_ok()).count();
        assert!(read > 200, "{read}");
        assert!(read < 300, "no input that is no JSON");
        assert!(all.iter().filter(|input| input.as_slice() != text.as_bytes()).count() > 250);
    }
}
