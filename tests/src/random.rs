//! Random choices that can be repeated: a test prints its seed if it fails.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The seed of a test: the value of `ROOTLING_SEED`, or a different one each time.
pub fn seed() -> u64 {
    if let Ok(text) = std::env::var("ROOTLING_SEED") {
        return text.parse().unwrap_or_else(|_| panic!("ROOTLING_SEED is no number: {text:?}"));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::from_secs(1));
    now.as_nanos() as u64
}

/// A generator that is random enough to hit different moments (xorshift64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator with this seed.
    pub fn of(seed: u64) -> Self {
        // Similar seeds must differ in their first choices as well, and none may become 0.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// This many groups of eight bytes.
    pub fn bytes(&mut self, eights: usize) -> Vec<u8> {
        (0..eights).flat_map(|_| self.next().to_le_bytes()).collect()
    }

    /// A number that is at least 0 and below 1.
    pub fn fraction(&mut self) -> f64 {
        f64::from((self.next() >> 32) as u32) / (f64::from(u32::MAX) + 1.0)
    }

    /// One of the items.
    pub fn of_list<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[(self.next() >> 32) as usize % items.len()]
    }
}

/// Printed if the thread panics while it exists: which of many attempts it was, and the seed.
#[derive(Debug)]
pub struct Shown(pub String);

impl Drop for Shown {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed: {}", self.0);
        }
    }
}
