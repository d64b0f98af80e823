//! Runs the scenarios of container engines on this machine, with rootling as their runtime: see `docs/testing.md`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rootling_tests::bounded;
use rootling_tests::engines::{RUNS, Run, Selection, Step};

/// Runs scenarios of container engines with rootling, or with another runtime.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Goes through the scenarios of a run, as whoever calls it.
    Run {
        /// The run, such as podman.
        run: String,
        /// The runtime; of the run `deb`, the package.
        #[arg(value_name = "RUNTIME")]
        subject: PathBuf,
        /// The groups of scenarios, all where none is named.
        groups: Vec<String>,
    },
    /// Times `run --rm` of `true` with a runtime and with crun, in turns.
    Time {
        /// The runtime.
        runtime: PathBuf,
        /// podman or docker, both where none is named.
        engines: Vec<String>,
    },
    /// Prints the scenarios of runs, all where none is named.
    List {
        /// The runs.
        runs: Vec<String>,
        /// Prints what is expected and the command as well.
        #[arg(long)]
        long: bool,
    },
}

fn main() -> ExitCode {
    bounded::main("engines", || execute(Arguments::parse().command))
}

fn execute(command: Command) -> Result<bool, String> {
    match command {
        Command::Run { run, subject, groups } => {
            Run::named(&run)?.carry_out(&subject, &groups, Selection::from_environment()?)
        }
        Command::Time { runtime, engines } => time(&runtime, &engines),
        Command::List { runs, long } => list(&runs, long),
    }
}

/// Runs them one after the other, as the current caller.
fn time(runtime: &std::path::Path, engines: &[String]) -> Result<bool, String> {
    let engines: Vec<&str> = if engines.is_empty() {
        vec!["podman", "docker"]
    } else {
        engines.iter().map(String::as_str).collect()
    };
    let mut well = true;
    for engine in engines {
        let run = Run::of_caller(engine)?;
        well &= run.carry_out(runtime, &["pairs".to_owned()], Selection::from_environment()?)?;
    }
    Ok(well)
}

fn list(runs: &[String], long: bool) -> Result<bool, String> {
    let runs: Vec<&Run> = if runs.is_empty() {
        RUNS.iter().collect()
    } else {
        runs.iter().map(|name| Run::named(name)).collect::<Result<_, _>>()?
    };
    for run in runs {
        for (group, step) in run.scenarios() {
            let (how, name, expected, command) = match step {
                Step::Check { name, expected, command, .. } => ("check", name, expected, command),
                Step::Soon { name, expected, command } => ("soon", name, expected, command),
                Step::Also { name, expected } => ("also", name, expected, ""),
                _ => continue,
            };
            println!("{}: {group}: {name}", run.name);
            if long {
                println!("    {how} {expected:?} {command:?}");
            }
        }
    }
    Ok(true)
}
