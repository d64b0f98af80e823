//! Runs test programs inside the machine.

use std::fs::{self, File};
use std::io::{Error, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bounded::{self, TIME_IS_OVER};
use crate::engines::Pattern;

/// No program may use up the time of all others.
const LIMIT: Duration = Duration::from_mins(10);

/// The program that looks for what the others have left, which is always the last.
pub(super) const LAST: &str = "zz_nothing_left";

/// How many lines of a program's failures are printed.
const SHOWN: usize = 200;

/// Test programs to be run as the current caller.
#[derive(Debug)]
pub struct Suite {
    /// Contains rootling, hack, docs/cli, docs/embedding.md, the tests in tests/ and their probe.
    pub dir: PathBuf,
    /// Gets a log for each program, and `summary`: program, passed, failed, skipped.
    pub results: PathBuf,
    /// Only programs whose name matches one of these patterns are run.
    pub only: Vec<Pattern>,
    /// Tests with this in their name are left out.
    pub without: Option<String>,
    /// The time for all programs; those that do not fit in are reported as cut, which is a failure.
    pub time: Duration,
}

/// The result of a program.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
    note: String,
}

impl Suite {
    /// Moves this process into a cgroup below its own: a cgroup that is delegated to us must not contain a process
    /// if the cgroups of containers are to get controllers.
    pub fn into_a_leaf() -> Result<(), String> {
        let failed = |error: Error| format!("move into a cgroup below the own one: {error}");
        let own = fs::read_to_string("/proc/self/cgroup").map_err(failed)?;
        let path = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
        let leaf = format!("/sys/fs/cgroup{path}/suite");
        fs::create_dir(&leaf).map_err(failed)?;
        fs::write(format!("{leaf}/cgroup.procs"), std::process::id().to_string()).map_err(failed)
    }

    /// Runs the programs. Returns whether any was run and none has failed.
    pub fn run(&self) -> Result<bool, String> {
        let failed = |error: Error| format!("write into {}: {error}", self.results.display());
        fs::create_dir_all(&self.results).map_err(failed)?;
        fs::write(self.skips(), "").map_err(failed)?;
        let mut summary = File::create(self.results.join("summary")).map_err(failed)?;
        let end = Instant::now() + self.time;
        let (mut passed, mut failures) = (0, 0);
        for program in self.programs()? {
            let counts = self.one(&program, end.saturating_duration_since(Instant::now()))?;
            let name = name(&program);
            let Counts { passed: here, failed: bad, skipped, .. } = counts;
            writeln!(summary, "{name}\t{here}\t{bad}\t{skipped}").map_err(failed)?;
            passed += counts.passed;
            failures += counts.failed;
        }
        self.tell_what_was_skipped();
        Ok(passed > 0 && failures == 0)
    }

    /// The selected programs ordered by name, followed in any case by the last one.
    fn programs(&self) -> Result<Vec<PathBuf>, String> {
        let tests = self.dir.join("tests");
        let entries = fs::read_dir(&tests).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
        let entries = entries.map_err(|error| format!("read {}: {error}", tests.display()))?;
        let mut programs: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
        let is_selected = |name: &str| self.only.iter().any(|pattern| pattern.matches(name));
        programs.retain(|program| name(program) != LAST && is_selected(&name(program)));
        programs.sort();
        programs.push(tests.join(LAST));
        Ok(programs)
    }

    /// Runs a program until it ends or its time is up, and prints the result.
    fn one(&self, program: &Path, left: Duration) -> Result<Counts, String> {
        let name = name(program);
        let log = self.results.join(format!("{name}.log"));
        let failed = |error: Error| format!("write {}: {error}", log.display());
        let output = File::create(&log).map_err(failed)?;
        let start = Instant::now();
        let skipped = self.skipped();
        let status = if left.is_zero() {
            TIME_IS_OVER
        } else {
            let mut command = self.command(program);
            command.stdin(Stdio::null()).stdout(output.try_clone().map_err(failed)?).stderr(output);
            bounded::run(&mut command, left.min(LIMIT))?
        };
        let text = String::from_utf8_lossy(&fs::read(&log).map_err(failed)?).into_owned();
        let counts = Counts::of(&text, status, self.skipped() - skipped);
        let Counts { passed, failed, skipped, note } = &counts;
        let seconds = start.elapsed().as_secs();
        println!("  {name:<18} {passed:3} passed, {failed} failed, {skipped} skipped, {seconds} s{note}");
        if *failed > 0 {
            let lines = text.lines().skip_while(|line| *line != "failures:").take(SHOWN);
            lines.for_each(|line| println!("    {line}"));
        }
        Ok(counts)
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some(without) = &self.without {
            command.args(["--skip", without]);
        }
        command
            .env("ROOTLING_BIN", self.dir.join("rootling"))
            .env("ROOTLING_SOURCE", &self.dir)
            // Counts that are feasible on an emulated processor.
            .env("ROOTLING_STRESS", std::env::var("ROOTLING_STRESS").unwrap_or_else(|_| "50:64".to_owned()))
            // On the disk, whose I/O can be throttled, and which permits devices, unlike /tmp.
            .env("TMPDIR", "/var/tmp")
            .env("ROOTLING_TEST_RUN", format!("rootling-vm{}", std::process::id()))
            .env("ROOTLING_TEST_SKIPS", self.skips());
        command
    }

    fn skips(&self) -> PathBuf {
        self.results.join("skips")
    }

    /// How many tests or parts of tests have been skipped so far.
    fn skipped(&self) -> usize {
        let skips = fs::read_to_string(self.skips()).unwrap_or_default();
        let mut tests: Vec<&str> = skips.lines().filter_map(|line| line.split('\t').nth(1)).collect();
        tests.sort_unstable();
        tests.dedup();
        tests.len()
    }

    /// Prints the reasons, the most frequent ones first.
    fn tell_what_was_skipped(&self) {
        let skips = fs::read_to_string(self.skips()).unwrap_or_default();
        let mut reasons = std::collections::BTreeMap::new();
        for reason in skips.lines().filter_map(|line| line.split('\t').next()) {
            *reasons.entry(reason).or_insert(0_usize) += 1;
        }
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (reason, count) in reasons {
            println!("  skipped: {count:6} {reason}");
        }
    }
}

impl Counts {
    /// Parses the log of a program, in which skipped tests are reported as `ok`.
    fn of(log: &str, status: i32, skipped: usize) -> Self {
        let count = |result: &str| {
            log.lines()
                .filter(|line| line.starts_with("test ") && line.ends_with(&format!(" ... {result}")))
                .count()
        };
        let mut counts = Self {
            passed: count("ok").saturating_sub(skipped),
            failed: count("FAILED"),
            skipped,
            note: String::new(),
        };
        if status == TIME_IS_OVER || status == 137 {
            counts.failed += 1;
            ", cut by its time".clone_into(&mut counts.note);
        } else if status != 0 && counts.failed == 0 {
            counts.failed = 1;
            counts.note = format!(", ended with {status}");
        }
        counts
    }
}

fn name(program: &Path) -> String {
    program.file_name().unwrap_or_default().display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "running 3 tests\ntest a::user ... ok\ntest b::user ... ok\ntest c::user ... FAILED\n";

    #[test]
    fn tests_are_counted_and_skipped_ones_have_not_passed() {
        let counts = Counts::of(LOG, 101, 1);
        assert_eq!(counts, Counts { passed: 1, failed: 1, skipped: 1, note: String::new() });
    }

    #[test]
    fn a_program_that_was_cut_or_has_crashed_has_failed() {
        let log = LOG.replace("FAILED", "ok");
        let cut = Counts::of(&log, TIME_IS_OVER, 0);
        assert_eq!((cut.passed, cut.failed, cut.note.as_str()), (3, 1, ", cut by its time"));
        let crashed = Counts::of(&log, 139, 0);
        assert_eq!((crashed.passed, crashed.failed, crashed.note.as_str()), (3, 1, ", ended with 139"));
        assert_eq!(Counts::of(&log, 0, 0).failed, 0);
    }
}
