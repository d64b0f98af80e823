//! Runs the scenarios of the engines in the virtual machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::geteuid;
use similar::{ChangeTag, TextDiff};

use super::integration::{QUICK, QUICKLY};
use super::machine::{Machine, PLACE, results, stream};
use super::programs;
use crate::engines::{REST, RUNS, Run, User, number};

/// The variables that are passed on to the runs.
const SELECTION: [&str; 5] =
    ["ROOTLING_ENGINES_ONLY", "ROOTLING_ENGINES_BUT", "ROOTLING_ENGINES_MANY", "ROOTLING_ENGINES_STEP", REST];

/// The paths of the runtimes in the machine.
const ROOTLING: &str = "/opt/rootling/bin/rootling";
const CRUN: &str = "/usr/bin/crun";

/// What is to be run.
#[derive(Debug)]
pub struct Engines {
    /// The runs; if none is named, those in `ROOTLING_ENGINES_RUNS`, or all.
    pub runs: Vec<String>,
    /// Whether to run each with crun as well and report differences; then only what fails just with rootling is a
    /// failure.
    pub compare: bool,
}

/// Which scenarios a machine gets.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Whole,
    /// What needs no whole machine, of the runs that work in a system container.
    Quick,
    /// All of the other runs, and the groups of these that need a whole machine.
    Rest,
}

/// Runs of the engines that share their time.
struct Plan {
    runs: Vec<&'static Run>,
    runtimes: Vec<&'static str>,
    end: Instant,
    results: PathBuf,
    /// The runs that have failed with rootling.
    failed: Mutex<Vec<&'static str>>,
}

/// Runs the scenarios in the virtual machine. Returns whether everything was well.
pub fn run_engines(options: &Engines) -> Result<bool, String> {
    let runs = selected(&options.runs)?;
    let rootling = programs::rootling()?;
    let minutes = number("ROOTLING_ENGINES_MINUTES", 90)? * if options.compare { 2 } else { 1 };
    let machine = Machine::new(options.compare.then_some(minutes + 10))?;
    programs::copy_both(&rootling, &machine.stage("bin/rootling")?)?;
    programs::strip(&programs::program("engines")?, &machine.stage("engines")?)?;
    if runs.iter().any(|run| run.is_of_the_package()) {
        println!("engines: making the package");
        programs::copy(&programs::package(&rootling)?, &machine.stage("rootling.deb")?)?;
    }
    let results = results("engines")?;
    let quick_results = results.join(QUICKLY);
    fs::create_dir(&quick_results).map_err(|error| format!("make {}: {error}", quick_results.display()))?;
    let start = Instant::now();
    let runtimes = if options.compare { vec![ROOTLING, CRUN] } else { vec![ROOTLING] };
    let end = start + Duration::from_mins(minutes);
    let plan = Plan { runs, runtimes, end, results, failed: Mutex::default() };
    let mut part = Part::Whole;
    if env::var_os(QUICK).is_some() && options.runs.is_empty() && !options.compare && geteuid().is_root() {
        let quick = machine.quick();
        match quick.start() {
            Ok(()) => {
                println!("\n== in the system container");
                plan.carry_out(&quick, Part::Quick)?;
                part = Part::Rest;
            }
            Err(why) => println!("no system container here, so all is run in the virtual machine: {why}"),
        }
    }
    machine.start()?;
    println!("\n== in the VM");
    plan.carry_out(&machine, part)?;
    if options.compare {
        plan.compare();
    }
    println!("\nTime in the VM: {} s. Logs: {}", start.elapsed().as_secs(), plan.results.display());
    plan.sum_up();
    Ok(plan.failed.into_inner().is_ok_and(|failed| failed.is_empty()))
}

fn selected(names: &[String]) -> Result<Vec<&'static Run>, String> {
    if !names.is_empty() {
        return names.iter().map(|name| Run::named(name)).collect();
    }
    let listed = env::var("ROOTLING_ENGINES_RUNS").unwrap_or_default();
    if listed.trim().is_empty() {
        return Ok(RUNS.iter().collect());
    }
    listed.split_whitespace().map(Run::named).collect()
}

impl Plan {
    /// Runs of the same user are sequential, and those of the two users are concurrent.
    fn carry_out(&self, machine: &Machine, part: Part) -> Result<(), String> {
        thread::scope(|scope| {
            let root = scope.spawn(|| self.lane(machine, User::Root, part));
            let ordinary = self.lane(machine, User::Ordinary, part);
            root.join().map_err(|_| "the runs of root have panicked".to_owned())?.and(ordinary)
        })
    }

    fn lane(&self, machine: &Machine, user: User, part: Part) -> Result<(), String> {
        for runtime in &self.runtimes {
            for run in self.runs.iter().filter(|run| run.user == user) {
                let is_quick = run.works_in_a_system_container();
                let part = match part {
                    Part::Quick if !is_quick => continue,
                    Part::Rest if !is_quick => Part::Whole,
                    part => part,
                };
                // A package has no other runtime.
                if !run.is_of_the_package() || *runtime == ROOTLING {
                    self.one(machine, run, runtime, part)?;
                }
            }
        }
        Ok(())
    }

    /// Runs the scenarios of a run until they end or the time is up. Prints the progress and failures.
    fn one(&self, machine: &Machine, run: &'static Run, runtime: &str, part: Part) -> Result<(), String> {
        let left = self.end.saturating_duration_since(Instant::now());
        let log = self.log(run.name, runtime, part);
        let well = if left.is_zero() {
            let line = format!("FAILED {}: no time is left to run it\n", run.name);
            print!("{}: {line}", run.name);
            fs::write(&log, line).map_err(|error| format!("write {}: {error}", log.display()))?;
            false
        } else {
            let subject = if run.is_of_the_package() { "/opt/rootling/rootling.deb" } else { runtime };
            let mut words = vec![format!("ROOTLING_ENGINES_TIME={}", left.as_secs())];
            words.extend(
                SELECTION.iter().filter_map(|name| Some(format!("{name}={}", quoted(&env::var(name).ok()?)))),
            );
            if part == Part::Rest {
                words.push(format!("{REST}=1"));
            }
            words.push(format!("ROOTLING_ENGINES_INNER={ROOTLING}"));
            words.extend([format!("{PLACE}/engines"), "run".into(), run.name.into(), subject.into()]);
            let command = machine.command(run.user.login(), &words);
            let name = run.name;
            let tell = move |line: &str| {
                if !line.starts_with("ok ") {
                    println!("{name}: {line}");
                }
            };
            stream(command, left + Duration::from_mins(1), &log, tell)? == 0
        };
        if !well && runtime == ROOTLING {
            self.failed.lock().map_err(|_| "a run has panicked".to_owned())?.push(run.name);
        }
        Ok(())
    }

    fn log(&self, run: &str, runtime: &str, part: Part) -> PathBuf {
        let name = Path::new(runtime).file_name().unwrap_or_default().display();
        let place = if part == Part::Quick { self.results.join(QUICKLY) } else { self.results.clone() };
        place.join(format!("{run}-{name}"))
    }

    /// The output of the scenarios of a run, in both places if it was run in both.
    fn told(&self, run: &str, runtime: &str) -> String {
        let logs = [Part::Quick, Part::Whole].map(|part| self.log(run, runtime, part));
        let texts = logs.map(|log| fs::read(log).unwrap_or_default());
        String::from_utf8_lossy(&texts.concat()).into_owned()
    }

    fn compare(&self) {
        for run in self.runs.iter().filter(|run| !run.is_of_the_package()) {
            println!("\n== {}: where rootling (-) and crun (+) differ", run.name);
            let differences = differences(&self.told(run.name, ROOTLING), &self.told(run.name, CRUN));
            print!("{}", if differences.is_empty() { "nowhere\n" } else { &differences });
        }
    }

    /// Prints the last lines of the runs, the counts, and the failures once more, at the end, where people look for
    /// them.
    fn sum_up(&self) {
        let told: Vec<(&str, String)> =
            self.runs.iter().map(|run| (run.name, self.told(run.name, ROOTLING))).collect();
        let lines = || told.iter().flat_map(|(_, text)| text.lines());
        lines().filter(|line| is_summary(line)).for_each(|line| println!("{line}"));
        for result in ["FAILED", "ok"] {
            let count = lines().filter(|line| line.starts_with(&format!("{result:<7}"))).count();
            if count > 0 {
                println!("{count:7} {result}");
            }
        }
        for (run, text) in &told {
            failures(text).for_each(|line| println!("{run}: {line}"));
        }
    }
}

/// Whether it is the last line of a run, and not of a group.
fn is_summary(line: &str) -> bool {
    line.contains(" passed, ")
        && line.contains(" failed, ")
        && line.ends_with(" s")
        && !line.starts_with("--")
}

/// The failures, with the details that were printed.
fn failures(told: &str) -> impl Iterator<Item = &str> {
    told.lines().filter(|line| line.starts_with("FAILED ") || line.starts_with("       | "))
}

fn differences(rootling: &str, crun: &str) -> String {
    let results = |text: &str| -> String {
        let lines = text.lines().filter(|line| line.starts_with("ok ") || line.starts_with("FAILED "));
        lines.flat_map(|line| [line, "\n"]).collect()
    };
    let (rootling, crun) = (results(rootling), results(crun));
    let diff = TextDiff::from_lines(&rootling, &crun);
    diff.iter_all_changes()
        .filter_map(|change| match change.tag() {
            ChangeTag::Delete => Some(format!("-{}", change.value())),
            ChangeTag::Insert => Some(format!("+{}", change.value())),
            ChangeTag::Equal => None,
        })
        .collect()
}

/// Quotes a word for the shell.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "ok     run: one\nFAILED run: two\n       | expected: ^1$\n       | status=1\n\
        -- run: 1 passed, 1 failed, 3 s\npodman systemd rootling: 1 passed, 1 failed, 4 s\n";

    #[test]
    fn what_has_failed_is_told_and_the_last_line_is_found() {
        let told: Vec<&str> = failures(LOG).collect();
        assert_eq!(told, ["FAILED run: two", "       | expected: ^1$", "       | status=1"]);
        let summaries: Vec<&str> = LOG.lines().filter(|line| is_summary(line)).collect();
        assert_eq!(summaries, ["podman systemd rootling: 1 passed, 1 failed, 4 s"]);
    }

    #[test]
    fn results_that_differ_are_shown_for_both() {
        let crun =
            LOG.replace("FAILED run: two", "ok     run: two").replace("podman systemd rootling", "crun");
        assert_eq!(differences(LOG, &crun), "-FAILED run: two\n+ok     run: two\n");
        assert_eq!(differences(LOG, LOG), "");
    }

    #[test]
    fn words_reach_the_shell_as_they_are() {
        assert_eq!(quoted("@(nested|many)"), "'@(nested|many)'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn unknown_runs_are_refused_with_those_that_there_are() {
        let error = selected(&["podman".into(), "rkt".into()]).expect_err("an unknown run");
        assert!(error.contains(r#""rkt""#) && error.contains("podman-cgroupfs"), "{error}");
        let named = selected(&["containerd".into(), "deb".into()]).expect("runs");
        assert_eq!(named.iter().map(|run| run.name).collect::<Vec<_>>(), ["containerd", "deb"]);
    }
}
