//! The runtime is killed at any moment: `delete -f` still works, and nothing is left.

use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use rootling_tests::{Test, both, leaks};

both!(killed_during_create, killed_during_run);

/// How often each is tried.
const KILLS: u32 = 50;

fn killed_during_create(t: &Test) {
    killed_at_random_moments(t, "create");
}

fn killed_during_run(t: &Test) {
    killed_at_random_moments(t, "run");
}

fn killed_at_random_moments(t: &Test, command: &str) {
    let bundle = t.bundle(&["sleep", "1000"]);
    bundle.write();
    // The moments spread over what a create takes here and now, and a little beyond.
    let start = Instant::now();
    t.create(&bundle, "c").ok();
    let span = start.elapsed() * 3 / 2;
    t.delete_force("c").ok();

    let mut random = Random::from_clock();
    for _ in 0..KILLS {
        let pause = span.mul_f64(random.fraction());
        let running = t.rootling(&[command, "-b"]).arg(bundle.dir()).arg(t.id("c")).spawn();
        sleep(pause);
        running.signal(Signal::SIGKILL);
        let killed = running.output();
        let deleted = t.delete_force("c");
        assert!(deleted.exit() == 0, "after {pause:?} of {span:?}: {deleted}\n{killed}");
        leaks::assert_none(t);
    }
}

/// Random enough to hit different moments in each run (xorshift64).
struct Random(u64);

impl Random {
    fn from_clock() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::from_secs(1));
        Self(now.as_nanos() as u64 | 1)
    }

    /// At least 0, below 1.
    fn fraction(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        f64::from((self.0 >> 32) as u32) / (f64::from(u32::MAX) + 1.0)
    }
}
