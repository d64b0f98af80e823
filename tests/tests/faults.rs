//! A sample of what `make fault` tries: failing system calls of the runtime and of its helpers.

use std::process::{Command, Stdio};

use rootling_tests::{Test, Who, both, fault, skip};

both!(command_whose_call_fails_ends_and_leaves_nothing);

/// How many of some ten thousand cases of an account are tried, the same ones each time: a minute or two on one
/// processor.
const SAMPLE: usize = 900;

fn command_whose_call_fails_ends_and_leaves_nothing(t: &Test) {
    if !fault::is_allowed() {
        return skip("this process may not trace others (ptrace(2))");
    }
    let account = if t.who() == Who::Root { "root" } else { "user" };
    let sample = SAMPLE.to_string();
    let tried = Command::new(env!("CARGO_BIN_EXE_fault"))
        .args(["--as", account, "--sample", &sample, "--workers", "1"])
        .env("ROOTLING_BIN", t.binary())
        .stderr(Stdio::inherit())
        .output()
        .expect("start fault");
    let told = String::from_utf8_lossy(&tried.stdout);
    println!("{told}");
    assert!(told.contains(&format!("{SAMPLE} cases")), "not as many were planned");
    assert!(tried.status.success(), "a call that failed did harm: see above");
}
