//! Measures how long `run --rm` of `true` takes with the runtime and with another, alternating.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::Session;
use super::scenario::{Step, also};
use super::selection::number;

/// Variables: `OURS` and `THEIRS`, the options of `run` that select the runtime and the other one.
#[rustfmt::skip]
pub(super) const PAIRS: &[Step] = &[
    Step::Prepare(measure),
    also("$PAIRS of each", "^[0-9.]+ times$"),
];

fn measure(session: &mut Session) -> Result<(), String> {
    let count = number("ROOTLING_ENGINES_PAIRS", 20)?;
    session.variables.set("PAIRS", count.to_string());
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    // The first turn is for warming up. The order alternates.
    for turn in 0..=count {
        let pair = if turn % 2 == 1 {
            let one = once(session, "OURS")?;
            (one, once(session, "THEIRS")?)
        } else {
            let other = once(session, "THEIRS")?;
            (once(session, "OURS")?, other)
        };
        if turn > 0 {
            ours.push(pair.0);
            theirs.push(pair.1);
        }
    }
    let (ours, theirs) = (median(ours), median(theirs));
    let times = format!("{:.2} times", ours.as_secs_f64() / theirs.as_secs_f64());
    let other = session.variables.get("OTHER").rsplit('/').next().unwrap_or_default();
    println!(
        "{} run --rm, median of {count}: {} ms with {}, {} ms with {other}: {times}",
        session.variables.get("ENGINE"),
        ours.as_millis(),
        session.variables.get("NAME"),
        theirs.as_millis(),
    );
    session.look_at(&times);
    Ok(())
}

fn once(session: &Session, runtime: &str) -> Result<Duration, String> {
    let line = format!(r#"exec $ENGINE run "${runtime}" --rm --net none box true"#);
    let mut command = session.bash(&line);
    let start = Instant::now();
    let status = command.stdin(Stdio::null()).status().map_err(|error| format!("start {line}: {error}"))?;
    if status.success() { Ok(start.elapsed()) } else { Err(format!("{line}: {status}")) }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let middle = times.len() / 2;
    if times.len().is_multiple_of(2) { (times[middle - 1] + times[middle]) / 2 } else { times[middle] }
}
