//! Waits that are certain to end.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// The longest that any wait of the suite lasts: far more than a loaded machine needs, so that reaching it means a
/// hang.
pub const LIMIT: Duration = Duration::from_mins(1);

/// Waits until `condition` is true.
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_within(LIMIT, condition), "not within {LIMIT:?}: {what}");
}

/// Whether `condition` becomes true within `limit`.
pub(crate) fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    let mut pause = Duration::from_millis(1);
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() > limit {
            return false;
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// How often a race is tried: `count` times, or `ROOTLING_ATTEMPTS` times if that is more; `make stress` sets it to
/// 500, which is 1000 for the two accounts.
pub fn attempts(count: usize) -> usize {
    number("ROOTLING_ATTEMPTS").map_or(count, |least| count.max(least))
}

/// How often a failure is injected: `count` times, multiplied by `ROOTLING_REPEATS`, which `make stress` sets to
/// 10.
pub fn repeats(count: usize) -> usize {
    count * number("ROOTLING_REPEATS").unwrap_or(1)
}

fn number(variable: &str) -> Option<usize> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text:?}")))
}
