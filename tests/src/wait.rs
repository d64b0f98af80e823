//! Waits that end.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// The longest that any wait of the suite lasts: far beyond what a loaded machine needs, so that
/// reaching it means a hang.
pub const LIMIT: Duration = Duration::from_mins(1);

/// Waits until `condition` holds.
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_within(LIMIT, condition), "not within {LIMIT:?}: {what}");
}

/// Whether `condition` comes to hold within `limit`.
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

/// How often a race is tried: `count` times, or as many times as often as `ROOTLING_ATTEMPTS` says, which `make stress`
/// has at 10.
pub fn attempts(count: usize) -> usize {
    let factor = std::env::var("ROOTLING_ATTEMPTS").map_or(Ok(1), |text| text.parse::<usize>());
    count * factor.expect("ROOTLING_ATTEMPTS is a number")
}
