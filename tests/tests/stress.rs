//! Many containers, one after the other and 64 at a time, and many programs at a time in one container. Every exit
//! code is correct, and nothing hangs.
//!
//! `ROOTLING_STRESS=CONSECUTIVE:PARALLEL` sets the numbers; `make stress` runs 3000:2000.

use rootling_tests::{Bundle, Running, Test, both};

both!(
    consecutive_runs_of_true,
    runs_64_at_a_time_with_their_own_exit_codes,
    execs_200_at_a_time_with_their_own_exit_codes,
);

const AT_A_TIME: usize = 64;

/// How many consecutive and parallel runs are requested.
fn counts() -> (usize, usize) {
    let asked = std::env::var("ROOTLING_STRESS").unwrap_or_else(|_| "200:128".to_owned());
    let (consecutive, parallel) = asked.split_once(':').expect("ROOTLING_STRESS is CONSECUTIVE:PARALLEL");
    let count = |text: &str| text.parse().expect("ROOTLING_STRESS holds two numbers");
    (count(consecutive), count(parallel))
}

fn consecutive_runs_of_true(t: &Test) {
    let bundle = t.bundle(&["true"]);
    bundle.write();
    for _ in 0..counts().0 {
        let output = t.run(&bundle).ok();
        assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    }
}

fn runs_64_at_a_time_with_their_own_exit_codes(t: &Test) {
    let first = t.bundle(&["true"]);
    first.write();
    let others = [1, 3, 255].map(|code| (code, first.sibling(t, &["sh", "-c", &format!("exit {code}")])));
    let bundles: Vec<(i32, Bundle)> = [(0, first)].into_iter().chain(others).collect();
    for (_, bundle) in &bundles {
        bundle.write();
    }
    let start = |number: usize| {
        let (code, bundle) = &bundles[number % bundles.len()];
        let id = t.id(&number.to_string());
        (*code, t.rootling(&["run", "-b"]).arg(bundle.dir()).arg(id).spawn())
    };
    let total = counts().1;
    for batch in (0..total).step_by(AT_A_TIME) {
        let running: Vec<(i32, Running)> = (batch..total.min(batch + AT_A_TIME)).map(start).collect();
        for (code, running) in running {
            let output = running.output().code(code);
            assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
        }
    }
}

/// The number of rounds is 50 in `make stress`.
fn execs_200_at_a_time_with_their_own_exit_codes(t: &Test) {
    let bundle = t.bundle(&["sleep", "1000000"]);
    t.run_detached(bundle.write(), "c").ok();
    let none: [&str; 0] = [];
    let start = |n: i32| t.exec(&none, "c", &["sh", "-c", &format!("echo {n}; exit {n}")]).spawn();
    for _ in 0..counts().1.div_ceil(40) {
        let running: Vec<Running> = (0..200).map(start).collect();
        for (n, exec) in (0..200).zip(running) {
            let output = exec.output().code(n);
            assert_eq!((output.text(), output.stderr.as_str()), (n.to_string().as_str(), ""));
        }
        let left = t.exec(&none, "c", &["ps", "-o", "comm"]).output().ok();
        assert_eq!(left.stdout, "COMMAND\nsleep\nps\n");
    }
    t.delete_force("c").ok();
}
