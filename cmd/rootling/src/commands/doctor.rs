//! `doctor`: whether containers can run here, and what to do where they cannot.

mod table;
mod trial;

use std::process::ExitCode;

use rootling_rootless::doctor::{Check, Distribution, Verdict, examine, suspects};
use rootling_rootless::host::Host;
use rootling_runtime::{Error, Result};
use serde::Serialize;

use super::list::print;
use crate::{args, terminal};

pub(crate) fn doctor(host: &Host, args: &args::Doctor) -> Result<ExitCode> {
    let mut checks = examine(host);
    let trial = trial::check(host);
    let failed = trial.verdict == Verdict::Failed;
    // With a reason that is certain there is no need to guess.
    if failed && checks.iter().all(|check| check.verdict != Verdict::Failed) {
        checks.extend(suspects(host));
    }
    checks.push(trial);
    let distribution = Distribution::of(host).name;
    print(&if args.json {
        json(&checks, &distribution)?
    } else {
        table::render(&checks, terminal::width())?
    })?;
    let can_run = checks.iter().all(|check| check.verdict != Verdict::Failed);
    Ok(if can_run { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    /// Whether containers can run.
    ok: bool,
    distribution: &'a str,
    checks: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    check: &'a str,
    status: &'a str,
    found: &'a str,
    needed: &'a str,
    why: &'a str,
    fix: Option<&'a str>,
}

fn json(checks: &[Check], distribution: &str) -> Result<String> {
    let lines = checks.iter().map(|check| Line {
        check: check.name,
        status: check.verdict.name(),
        found: &check.found,
        needed: &check.needed,
        why: &check.why,
        fix: check.fix.as_deref(),
    });
    let ok = checks.iter().all(|check| check.verdict != Verdict::Failed);
    let report = Report { ok, distribution, checks: lines.collect() };
    serde_json::to_string_pretty(&report).map(|text| text + "\n").map_err(|e| Error::system(e.to_string()))
}
