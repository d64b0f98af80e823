//! A run in progress: its variables, its commands and their results.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use regex_lite::Regex;

use super::variables::Variables;
use super::{Facts, Group, Selection, Step, excerpt};
use crate::bounded::{self, TIME_IS_OVER};

/// How many lines of a failure are printed.
const SHOWN: usize = 25;

/// How long a command of the setup or cleanup may take.
const A_WHILE: Duration = Duration::from_mins(4);

/// How long something that happens by itself may take.
const A_MOMENT: Duration = Duration::from_mins(1);

/// A run in progress.
pub struct Session {
    /// About the caller and the engine.
    pub(super) facts: Facts,
    /// The environment of commands.
    pub(super) variables: Variables,
    /// Shell functions that the commands of the run may use.
    functions: &'static [&'static str],
    /// The engine's daemon, while it has one.
    pub(super) daemon: Option<Child>,
    /// Removes everything at the end.
    clean: fn(&mut Self),
    selection: Selection,
    start: Instant,
    group: &'static str,
    /// The output and the exit code of the last command.
    output: String,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    passed: usize,
    failed: usize,
}

impl Session {
    pub(super) fn new(
        facts: Facts,
        functions: &'static [&'static str],
        selection: Selection,
        clean: fn(&mut Self),
    ) -> Self {
        Self {
            facts,
            variables: Variables::default(),
            functions,
            daemon: None,
            clean,
            selection,
            start: Instant::now(),
            group: "",
            output: String::new(),
            counts: Counts::default(),
        }
    }

    /// Runs the selected groups. Prints the progress after each of them.
    pub(super) fn run(&mut self, groups: &[Group]) -> Result<(), String> {
        self.selection.check(self.facts)?;
        for group in groups.iter().filter(|group| self.selection.takes(group, self.facts)).collect::<Vec<_>>()
        {
            let (before, start) = (self.counts, Instant::now());
            self.group = group.name;
            self.steps(group.steps)?;
            let Counts { passed, failed } = self.counts;
            let (passed, failed) = (passed - before.passed, failed - before.failed);
            println!("-- {}: {passed} passed, {failed} failed, {} s", group.name, start.elapsed().as_secs());
        }
        Ok(())
    }

    /// Prints the last line. Returns whether everything was well and something was tried.
    pub(super) fn summary(&self, run: &str) -> bool {
        let Counts { passed, failed } = self.counts;
        println!("{run}: {passed} passed, {failed} failed, {} s", self.start.elapsed().as_secs());
        failed == 0 && passed > 0
    }

    fn steps(&mut self, steps: &'static [Step]) -> Result<(), String> {
        steps.iter().try_for_each(|step| self.step(step))
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match *step {
            Step::Check { name, expected, command, seconds } => {
                self.try_command(command, seconds)?;
                self.judge(name, expected);
            }
            Step::Soon { name, expected, command } => {
                self.try_until(expected, command)?;
                self.judge(name, expected);
            }
            Step::Also { name, expected } => self.judge(name, expected),
            Step::Quietly(command) => {
                self.execute(command, None)?;
            }
            Step::Set(variable, command) => {
                let (_, printed) = self.execute(command, None)?;
                self.variables.set(variable, printed.trim_end());
            }
            Step::File(path, content) => self.write(path, &self.variables.fill(content))?,
            Step::Excerpt(page, heading, language, path) => {
                self.write(path, &excerpt::block(self.variables.get("DOCS"), page, heading, language)?)?;
            }
            Step::Prepare(prepare) => prepare(self)?,
            Step::When(holds, steps) if holds(self.facts) => self.steps(steps)?,
            Step::Machine(steps) if self.facts.machine => self.steps(steps)?,
            Step::When(..) => {}
            Step::Machine(_) => {
                println!("skipped {}: what needs controllers for cgroups and all capabilities", self.group);
            }
            Step::All(steps) => self.steps(steps)?,
        }
        Ok(())
    }

    /// Writes a file, whose path may contain variables; its directory is made if it does not exist.
    pub(super) fn write(&self, path: &str, content: &str) -> Result<(), String> {
        let path = self.variables.fill(path);
        let failed = |error: std::io::Error| format!("write {path}: {error}");
        if let Some((parent, _)) = path.rsplit_once('/') {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        fs::write(&path, content).map_err(failed)
    }

    /// Runs a command, whose output and exit code are checked next.
    fn try_command(&mut self, command: &str, seconds: Option<u64>) -> Result<(), String> {
        let (status, printed) = self.execute(command, seconds)?;
        self.output = format!("{}\nstatus={status}", printed.trim_end_matches('\n'));
        Ok(())
    }

    fn try_until(&mut self, expected: &str, command: &str) -> Result<(), String> {
        let start = Instant::now();
        self.try_command(command, None)?;
        while !self.matches(expected) && start.elapsed() < A_MOMENT {
            sleep(Duration::from_millis(500));
            self.try_command(command, None)?;
        }
        Ok(())
    }

    /// Runs a command line until it ends or its time is up. Returns its exit code and its output.
    fn execute(&self, line: &str, seconds: Option<u64>) -> Result<(i32, String), String> {
        let Some(limit) = self.selection.time_for(seconds) else {
            return Ok((TIME_IS_OVER, "no time is left".to_owned()));
        };
        // A file instead of a pipe: a detached container keeps it open, and a reader would wait for it.
        let failed = |error: std::io::Error| format!("keep the output of a command: {error}");
        let kept = tempfile::Builder::new().append(true).tempfile().map_err(failed)?;
        let stream = || kept.as_file().try_clone().map(Stdio::from).map_err(failed);
        let mut bash = self.bash(line);
        let status = bounded::run(bash.stdin(Stdio::null()).stdout(stream()?).stderr(stream()?), limit)?;
        let printed = fs::read(kept.path()).map_err(failed)?;
        // Lines from a terminal end differently.
        Ok((status, String::from_utf8_lossy(&printed).replace('\r', "")))
    }

    fn matches(&self, expected: &str) -> bool {
        let expected = self.variables.fill(expected);
        let expression = Regex::new(&expected).unwrap_or_else(|error| panic!("{expected:?}: {error}"));
        self.output.split('\n').any(|line| expression.is_match(line))
    }

    /// Reports whether the output is as expected, and counts the result.
    fn judge(&mut self, name: &str, expected: &str) {
        let line = format!("{}: {}", self.group, self.variables.fill(name));
        if self.matches(expected) {
            self.counts.passed += 1;
            println!("ok     {line}");
            return;
        }
        self.counts.failed += 1;
        println!("FAILED {line}");
        let told = format!("expected: {}\n{}", self.variables.fill(expected), self.output);
        let lines: Vec<&str> = told.lines().collect();
        for line in &lines[lines.len().saturating_sub(SHOWN)..] {
            println!("       | {line}");
        }
    }

    /// Runs a command line of the setup, whose output goes where that of this program goes.
    pub(super) fn set_up(&self, line: &str) -> Result<(), String> {
        match bounded::run(self.bash(line).stdin(Stdio::null()), A_WHILE)? {
            0 => Ok(()),
            code => Err(format!("{line}: exit code {code}")),
        }
    }

    /// Whether a command line of the setup succeeds.
    pub(super) fn succeeds(&self, line: &str, limit: Duration) -> Result<bool, String> {
        Ok(bounded::run(silent(&mut self.bash(line)), limit)? == 0)
    }

    /// Runs a command line of the cleanup, and ignores its result.
    pub(super) fn clean_up(&self, line: &str) {
        let _ = bounded::clean_up(silent(&mut self.bash(line)), A_WHILE);
    }

    /// Sets a text to check in place of a command's output.
    pub(super) fn look_at(&mut self, text: &str) {
        text.clone_into(&mut self.output);
    }

    /// The output of a command line of the cleanup.
    pub(super) fn printed(&self, line: &str) -> String {
        let output = self.bash(line).stdin(Stdio::null()).output();
        output.map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
    }

    /// A command line with the variables and functions of the run.
    pub(super) fn bash(&self, line: &str) -> Command {
        let script = self.functions.iter().chain([&line]).copied().collect::<Vec<_>>().join("\n");
        let mut bash = Command::new("bash");
        bash.arg("-c").arg(script).envs(self.variables.all());
        bash
    }
}

fn silent(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

impl Drop for Session {
    fn drop(&mut self) {
        // Without a directory there is nothing to remove.
        if self.variables.has("DIR") {
            (self.clean)(self);
        }
    }
}
