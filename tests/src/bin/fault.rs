//! Makes each system call of a runtime fail once with each plausible error: see `docs/testing.md`.
//!
//! `ROOTLING_BIN` names the runtime, which is rootling or another one with the commands of runc.

use std::process::ExitCode;
use std::thread::available_parallelism;

use rootling_tests::fault::{Case, Plan, Verb, Verdict, carry_out, is_allowed, sample};
use rootling_tests::{Account, Who};

const USAGE: &str =
    "usage: fault [--sample COUNT] [--workers COUNT] [--as user|root]... [--command COMMAND]...
       fault --only COMMAND:ACCOUNT:ROLE:CALL:NUMBER:ERROR...";

/// The options on the command line.
#[derive(Default)]
struct Options {
    only: Vec<Case>,
    sample: Option<usize>,
    workers: Option<usize>,
    accounts: Vec<Who>,
    verbs: Vec<Verb>,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("fault: {why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if !is_allowed() {
        eprintln!("fault: this process may not trace others (ptrace(2))");
        return ExitCode::FAILURE;
    }
    let cases = if options.only.is_empty() { planned(&options) } else { options.only.clone() };
    if cases.is_empty() {
        eprintln!("fault: nothing can be tried");
        return ExitCode::FAILURE;
    }
    let workers = options.workers.unwrap_or_else(|| available_parallelism().map_or(1, usize::from));
    println!("{} cases, {workers} at a time", cases.len());
    let all = cases.len();
    let talkative = !options.only.is_empty();
    let table = carry_out(&cases, workers, &|case, verdict, done| tell(case, verdict, done, all, talkative));
    println!("\n{table}");
    println!("{} calls were not made again", table.missed);
    table.faults.iter().for_each(|fault| println!("failed: {fault}"));
    if table.is_bad() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(option) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{option} needs a value"))?;
        let count = || value.parse::<usize>().map_err(|_| format!("{option}: no number: {value:?}"));
        match option.as_str() {
            "--only" => options.only.push(value.parse()?),
            "--sample" => options.sample = Some(count()?),
            "--workers" => options.workers = Some(count()?),
            "--as" => options.accounts.push(match value.as_str() {
                "user" => Who::User,
                "root" => Who::Root,
                _ => return Err(format!("neither user nor root: {value:?}")),
            }),
            "--command" => options.verbs.push(value.parse()?),
            _ => return Err(format!("no option: {option:?}")),
        }
    }
    Ok(options)
}

/// Records the calls of all requested commands.
fn planned(options: &Options) -> Vec<Case> {
    let mut accounts = options.accounts.clone();
    if accounts.is_empty() {
        accounts = [Who::User, Who::Root].into_iter().filter(|&who| Account::of(who).is_ok()).collect();
    }
    let verbs = if options.verbs.is_empty() {
        Verb::ALL.map(|(verb, _)| verb).to_vec()
    } else {
        options.verbs.clone()
    };
    let mut cases = Vec::new();
    for who in accounts {
        let plan = Plan::new(who, &verbs);
        plan.left_out.iter().for_each(|what| println!("left out: {what}"));
        let list =
            |calls: &std::collections::BTreeSet<String>| calls.iter().cloned().collect::<Vec<_>>().join(" ");
        println!("{who:?}: {} cases; cannot fail: {}", plan.cases.len(), list(&plan.cannot_fail));
        if !plan.unknown.is_empty() {
            println!("not in the table of errors: {}", list(&plan.unknown));
        }
        cases.extend(plan.cases);
    }
    match options.sample {
        Some(count) => sample(cases, count),
        None => cases,
    }
}

/// Reports each finding with the way to repeat it and, now and then, the progress.
fn tell(case: &Case, verdict: &Verdict, done: usize, all: usize, talkative: bool) {
    for (finding, what) in &verdict.findings {
        println!("{finding}: hack/fault.sh --only '{case}'\n    {}", what.trim_end().replace('\n', "\n    "));
    }
    if talkative {
        println!("{case}: exit {}{}", verdict.exit, if verdict.reached { "" } else { ", not made" });
    } else if done.is_multiple_of(200) {
        println!("{done} of {all}");
    }
}
