//! Races: containers start over and over while another process exchanges two names that they are made from.

use std::collections::BTreeMap;
use std::process::Stdio;

use crate::{Bundle, Exchange, Output, Test, attempts, can_trace, eventually};

/// How often a container is started in each race.
pub fn starts() -> usize {
    attempts(60)
}

/// What went wrong in a start, if anything.
pub type Verdict = Result<(), String>;

/// Checks that `condition` is true; the error is `otherwise`.
pub fn expect(condition: bool, otherwise: &str) -> Verdict {
    if condition { Ok(()) } else { Err(otherwise.to_owned()) }
}

/// Starts containers while `names` in the root file system are exchanged. Each must either end well, as judged by
/// `check`, or with one line that contains `word`.
pub fn race(
    t: &Test,
    bundle: &Bundle,
    names: [&str; 2],
    word: &str,
    check: &mut dyn FnMut(&Output) -> Verdict,
) {
    bundle.own_all();
    bundle.write();
    let exchange = Exchange::of(&bundle.rootfs(names[0]), &bundle.rootfs(names[1]));
    race_of(&exchange, word, check, &mut || start(t, bundle, &exchange));
}

/// Like [`race`], for any command.
pub fn race_of(
    exchange: &Exchange,
    word: &str,
    check: &mut dyn FnMut(&Output) -> Verdict,
    start: &mut dyn FnMut() -> Output,
) {
    let mut wrong = BTreeMap::<String, usize>::new();
    let mut started = 0;
    for _ in 0..starts() {
        let output = start();
        let mut verdict = check(&output);
        if output.exit() == 0 {
            started += 1;
        } else if verdict.is_ok() {
            verdict = says(&output, word);
        }
        if let Err(what) = verdict {
            *wrong.entry(what).or_default() += 1;
        }
    }
    let exchanges = exchange.count();
    println!("{started} of {} started, {exchanges} exchanges", starts());
    assert!(wrong.is_empty(), "of {} starts: {wrong:#?}", starts());
    assert!(exchanges as usize > starts(), "only {exchanges} exchanges: no race");
    assert!(started > 0, "none has started: nothing was looked at");
}

/// Checks that a failure is one line that contains `word`.
fn says(output: &Output, word: &str) -> Verdict {
    let line = output.stderr.lines().count() == 1 && output.stdout.is_empty();
    let right = line && output.stderr.contains(word);
    if right {
        Ok(())
    } else {
        Err(format!("an error without {word:?}: exit {}: {}", output.exit(), output.stderr))
    }
}

/// A bundle whose program reports that it is running, waits until it may look, and then looks.
pub fn looking(t: &Test, script: &str) -> Bundle {
    t.shell(&format!("echo ready; read go; {script}"))
}

/// A command that makes each of `calls` (a list for strace(1)) of a command take longer before it begins. With
/// `paths`, only those that name one of them, as written there. This leaves time for many exchanges between two
/// accesses to a name. Empty if nothing can be traced.
pub fn slowed(t: &Test, calls: &str, paths: &[&str]) -> Vec<String> {
    if !can_trace(t) {
        return Vec::new();
    }
    let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:delay_enter=2000"));
    let options = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    let paths = paths.iter().flat_map(|path| ["-P", path]);
    options.into_iter().chain(paths).map(str::to_owned).collect()
}

/// Starts such a bundle once. The result is without the first line of the program's output.
pub fn start(t: &Test, bundle: &Bundle, exchange: &Exchange) -> Output {
    start_under(t, bundle, exchange, &[])
}

/// Like [`start`], under another command, such as that of [`slowed`].
pub fn start_under(t: &Test, bundle: &Bundle, exchange: &Exchange, under: &[String]) -> Output {
    let mut running = t.run_command(bundle).under(under).stdin(Stdio::piped()).spawn();
    eventually("the program is there, or there is an error", || {
        running.so_far().0.starts_with("ready\n") || !matches!(running.child.try_wait(), Ok(None))
    });
    let _names = exchange.hold();
    drop(running.child.stdin.take());
    let mut output = running.output();
    output.stdout = output.stdout.trim_start_matches("ready\n").to_owned();
    output
}
