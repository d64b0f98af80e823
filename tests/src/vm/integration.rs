//! Runs the integration tests in the virtual machine.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::engines::quoted;
use super::machine::{Machine, PLACE, expect_success, results, stream};
use super::programs;
use super::suite::LAST;
use crate::engines::{Pattern, User, number};
use crate::{bounded, source};

/// A caller, and how its cgroups are made.
struct Run {
    name: &'static str,
    user: User,
    /// Words before the suite's command, such as a variable.
    before: &'static [&'static str],
    /// Options of the suite.
    options: &'static [&'static str],
    files: Files,
}

/// The test files that a run includes.
enum Files {
    All,
    /// Those that match one of the patterns.
    Some(&'static str),
}

/// Emulation is slow, so each file is in the run where it is most useful. All runs include the files for which it
/// matters who makes the cgroups; those that try all ways to a cgroup by themselves are in one run of each user,
/// and those about command lines and files are not in root's.
#[rustfmt::skip]
static RUNS: [Run; 4] = [
    // In a login session.
    Run { name: "user-systemd", user: User::Ordinary,
        before: &["env", "ROOTLING_TEST_FLAGS=--systemd-cgroup"], options: &["--without", "::root"],
        files: Files::Some("cgroup concurrency exec lifecycle ps run
            attack_annotations attack_descriptors kills process stress") },
    // In a scope with a delegated cgroup.
    Run { name: "user-delegated", user: User::Ordinary,
        before: &["env", "ROOTLING_TEST_SUDO=1", "systemd-run", "--user", "--scope", "--quiet", "-p", "Delegate=yes"],
        options: &["--without", "::root", "--leaf"],
        files: Files::All },
    // With cgroups by path.
    Run { name: "root", user: User::Root,
        before: &[], options: &["--without", "::user"],
        files: Files::Some("cgroup concurrency exec lifecycle ps run
            apparmor attack_checkpoint attack_cgroups attack_devices attack_proc attack_state attack_users cgroup_* cli devices
            events exec_* hooks idmap_mounts kills mount* namespaces pause process rootfs* scheduling seccomp security stats
            system_container terminal update user_namespace") },
    Run { name: "root-systemd", user: User::Root,
        before: &["env", "ROOTLING_TEST_FLAGS=--systemd-cgroup"], options: &["--without", "::user"],
        files: Files::Some("cgroup concurrency exec lifecycle ps run attack_annotations") },
];

/// In no run: what shows nothing in the VM that it does not show elsewhere, and takes an hour on an emulated
/// processor (each system call denied, each call of a launch failing, images of a million entries and of gigabytes,
/// and races, which need two real processors), and what concerns the source or its tools.
const NOWHERE: &str =
    "seccomp_denied waits faults attack_races attack_mount_races attack_device_races security_docs
    contributing_docs docs_commands docs_links state_faults kills_of_helpers races exhaustion link_order attack_images
    packages";

/// With the quick way, these are left to the virtual machine: they need controllers, which cgroup v2 has none of where
/// version 1 has them all, or its kernel, security modules and privileges. The others run in a system container.
const MACHINE: &str =
    "apparmor attack_annotations attack_cgroups cgroup* doctor events old_kernel run selinux stats update";

/// If it is set, root is the caller and no files or runs are named, the quick way is taken for all that it can show.
pub(super) const QUICK: &str = "ROOTLING_VM_QUICK";

/// Below the results, those of the system container.
pub(super) const QUICKLY: &str = "quick";

/// Names the directory for the results of one machine of many.
pub(super) const RESULTS: &str = "ROOTLING_VM_RESULTS";

/// Runs the integration tests in the machine, in the named runs or in all. Returns whether everything was well.
pub fn run_tests(names: &[String]) -> Result<bool, String> {
    let runs = selected(names)?;
    let minutes = number("ROOTLING_VM_MINUTES", 50)?;
    let rootling = programs::rootling()?;
    let machine = Machine::new(None)?;
    println!("vm: building the test programs");
    stage(&machine, &rootling)?;
    let results = match env::var_os(RESULTS) {
        Some(dir) => PathBuf::from(dir),
        None => results("vm")?,
    };
    let start = Instant::now();
    let end = start + Duration::from_mins(minutes);
    let (mut well, mut part) = (true, Part::Whole);
    if env::var_os(QUICK).is_some() && named_files().is_none() && nix::unistd::geteuid().is_root() {
        let quick = machine.quick();
        match quick.start() {
            Ok(()) => {
                well &= carry_out(&runs, Part::Quick, &quick, &results.join(QUICKLY), end)?;
                part = Part::Rest;
            }
            Err(why) => println!("vm: no system container here, so all is run in the virtual machine: {why}"),
        }
    }
    machine.start()?;
    well &= carry_out(&runs, part, &machine, &results, end)?;
    println!("\nTime in the VM: {} s. Logs: {}", start.elapsed().as_secs(), results.display());
    let [passed, failed, skipped] = total(&results);
    // Printed again at the end, since the earlier output may be far above.
    for program in failed_programs(&results) {
        println!("failed: {program}");
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(well)
}

/// Which files of the runs a machine gets.
#[derive(Clone, Copy)]
enum Part {
    Whole,
    /// All but [`MACHINE`].
    Quick,
    /// Only [`MACHINE`].
    Rest,
}

/// Carries the runs out. Returns whether everything was well.
fn carry_out(
    runs: &[&Run],
    part: Part,
    machine: &Machine,
    results: &Path,
    end: Instant,
) -> Result<bool, String> {
    fs::create_dir_all(results).map_err(|error| format!("make {}: {error}", results.display()))?;
    let place = if matches!(part, Part::Quick) { "system container" } else { "VM" };
    let mut well = true;
    for run in runs {
        println!("\n== in the {place}: {}", run.name);
        well &= run.carry_out(machine, part, &results.join(run.name), end)?;
    }
    Ok(well)
}

fn selected(names: &[String]) -> Result<Vec<&'static Run>, String> {
    if names.is_empty() {
        return Ok(RUNS.iter().collect());
    }
    let find = |name: &String| {
        RUNS.iter().find(|run| run.name == name).ok_or_else(|| {
            let known: Vec<&str> = RUNS.iter().map(|run| run.name).collect();
            format!("no run is called {name:?}; there are {}", known.join(", "))
        })
    };
    names.iter().map(find).collect()
}

/// Collects what goes into the machine: the program, the test programs, and the files that they need.
fn stage(machine: &Machine, rootling: &Path) -> Result<(), String> {
    let named = match named_files() {
        None => None,
        Some(patterns) => Some(matching(&patterns)?),
    };
    let built: BTreeMap<String, PathBuf> = programs::tests(named.as_deref())?;
    for (name, program) in &built {
        programs::strip(program, &machine.stage(name)?)?;
    }
    programs::copy_both(rootling, &machine.stage("rootling")?)?;
    for path in ["hack", "docs/ci.md", "docs/cli", "docs/embedding.md"] {
        let mut copy = Command::new("cp");
        copy.arg("-r").arg(source(path)).arg(machine.stage(path)?);
        expect_success("cp", bounded::run(&mut copy, Duration::from_mins(1))?)?;
    }
    Ok(())
}

impl Run {
    /// Runs its tests, and copies their logs. Returns whether everything was well.
    fn carry_out(&self, machine: &Machine, part: Part, results: &Path, end: Instant) -> Result<bool, String> {
        let left = end.saturating_duration_since(Instant::now());
        let there = format!("/tmp/results-{}", self.name);
        let command = machine.command(self.user.login(), &self.words(left, &there, part)?);
        let log = results.with_extension("log");
        // As much time as the suite has, and some to report what it did not get to.
        let status = stream(command, left + Duration::from_mins(1), &log, |line| println!("{line}"))?;
        let got = machine.get(self.user.login(), &there, results)?;
        if status == 0 && got == 0 {
            return Ok(true);
        }
        // The run may not have been able to report its failure itself.
        let [_, failed, _] = counts(&results.join("summary"));
        if failed == 0 {
            println!("  {} did not come to its end", self.name);
            let failed = |error: std::io::Error| format!("write into {}: {error}", results.display());
            fs::create_dir_all(results).map_err(failed)?;
            let mut summary = fs::File::options()
                .append(true)
                .create(true)
                .open(results.join("summary"))
                .map_err(failed)?;
            writeln!(summary, "{}\t0\t1\t0", self.name).map_err(failed)?;
        }
        Ok(false)
    }

    /// The command to run in the machine.
    fn words(&self, left: Duration, results: &str, part: Part) -> Result<Vec<String>, String> {
        let files = match named_files() {
            Some(files) => files,
            None => self.files(part)?,
        };
        let mut words: Vec<String> = self.before.iter().map(ToString::to_string).collect();
        words.extend([format!("{PLACE}/vm"), "suite".to_owned(), "--only".to_owned(), quoted(&files)]);
        words.extend(["--seconds".to_owned(), left.as_secs().to_string()]);
        words.extend(self.options.iter().map(ToString::to_string));
        words.extend([PLACE.to_owned(), results.to_owned()]);
        Ok(words)
    }

    /// The names of its test files.
    fn files(&self, part: Part) -> Result<String, String> {
        let mut names = all_files()?;
        names.retain(|name| match self.files {
            Files::All => !among(NOWHERE, name),
            Files::Some(patterns) => among(patterns, name),
        });
        names.retain(|name| match part {
            Part::Whole => true,
            Part::Quick => !among(MACHINE, name),
            Part::Rest => among(MACHINE, name),
        });
        Ok(names.join(" "))
    }
}

/// The patterns of test files that the caller has named.
fn named_files() -> Option<String> {
    env::var("ROOTLING_VM_TESTS").ok().filter(|files| !files.trim().is_empty())
}

/// The names of the test files that match one of the patterns, and what the suite adds to any choice.
fn matching(patterns: &str) -> Result<Vec<String>, String> {
    let mut names = all_files()?;
    names.retain(|name| among(patterns, name) && name != LAST);
    if names.is_empty() {
        return Err(format!(
            "ROOTLING_VM_TESTS: no file in tests/tests matches {patterns:?}; name some, as in 'run exec_*'"
        ));
    }
    names.push(LAST.to_owned());
    Ok(names)
}

fn among(patterns: &str, name: &str) -> bool {
    patterns.split_whitespace().any(|pattern| Pattern::from(pattern).matches(name))
}

/// The names of all test files.
fn all_files() -> Result<Vec<String>, String> {
    let dir = source("tests/tests");
    let entries = fs::read_dir(&dir).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let entries = entries.map_err(|error| format!("read {}: {error}", dir.display()))?;
    let mut names: Vec<String> = entries
        .iter()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".rs").map(ToOwned::to_owned))
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// What came of each run that there was: its name, and how many tests passed, failed and were skipped.
pub(super) fn outcome(results: &Path) -> Vec<(&'static str, [usize; 3])> {
    let of_run = |run: &Run| {
        let summary = results.join(run.name).join("summary");
        summary.exists().then(|| (run.name, counts(&summary)))
    };
    RUNS.iter().filter_map(of_run).collect()
}

/// The totals of the runs: passed, failed, skipped.
fn total(results: &Path) -> [usize; 3] {
    let all = summaries(results).into_iter().map(|(_, summary)| counts(&summary));
    all.fold([0; 3], |sum, counts| [0, 1, 2].map(|i| sum[i] + counts[i]))
}

/// The summary of each run, in both places, with the run's name.
fn summaries(results: &Path) -> Vec<(&'static str, PathBuf)> {
    let places = [results.join(QUICKLY), results.to_owned()];
    let of_place =
        |place: &PathBuf| RUNS.each_ref().map(|run| (run.name, place.join(run.name).join("summary")));
    places.iter().flat_map(of_place).collect()
}

/// The test programs with a failure, each preceded by its run.
fn failed_programs(results: &Path) -> Vec<String> {
    let of_run = |(run, summary): (&str, PathBuf)| {
        let summary = fs::read_to_string(summary).unwrap_or_default();
        let failed = summary.lines().filter(|line| counts_of(line)[1] > 0);
        failed
            .map(|line| format!("{run} {}", line.split('\t').next().unwrap_or_default()))
            .collect::<Vec<_>>()
    };
    summaries(results).into_iter().flat_map(of_run).collect()
}

/// The totals of a summary, whose lines are program, passed, failed and skipped.
fn counts(summary: &Path) -> [usize; 3] {
    let text = fs::read_to_string(summary).unwrap_or_default();
    text.lines().map(counts_of).fold([0; 3], |sum, counts| [0, 1, 2].map(|i| sum[i] + counts[i]))
}

fn counts_of(line: &str) -> [usize; 3] {
    let mut numbers = line.split('\t').skip(1).map(|number| number.parse().unwrap_or(0));
    [0; 3].map(|_: usize| numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_of_a_run_and_each_that_is_in_none_is_there() {
        let there = all_files().expect("the tests");
        let of_runs = RUNS.iter().filter_map(|run| match run.files {
            Files::Some(patterns) => Some(patterns),
            Files::All => None,
        });
        for pattern in of_runs.chain([NOWHERE, MACHINE]).flat_map(str::split_whitespace) {
            assert!(there.iter().any(|name| among(pattern, name)), "no test file is called {pattern}");
        }
    }

    #[test]
    fn a_choice_has_the_last_program_and_is_not_empty() {
        assert_eq!(matching("run zz_*").expect("a choice"), ["run", LAST]);
        assert!(matching("rum").is_err_and(|why| why.contains("rum")));
    }

    #[test]
    fn a_run_is_a_command_of_its_user() {
        let run = RUNS.iter().find(|run| run.name == "user-systemd").expect("a run");
        let words = run.words(Duration::from_mins(5), "/tmp/r", Part::Whole).expect("a command").join(" ");
        assert!(
            words.starts_with(
                "env ROOTLING_TEST_FLAGS=--systemd-cgroup /opt/rootling/vm suite --only 'attack_annotations "
            ),
            "{words}"
        );
        assert!(words.ends_with(" --seconds 300 --without ::root /opt/rootling /tmp/r"), "{words}");
        assert!(selected(&["nobody".to_owned()]).is_err());
    }

    #[test]
    fn two_machines_together_run_each_file_once() {
        for run in &RUNS {
            let files = |part| {
                let files = run.files(part).expect("the files");
                files.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>()
            };
            let mut both = [files(Part::Quick), files(Part::Rest)].concat();
            both.sort_unstable();
            assert_eq!(both, files(Part::Whole), "{}", run.name);
            assert!(!files(Part::Quick).is_empty() && !files(Part::Rest).is_empty(), "{}", run.name);
        }
    }

    #[test]
    fn summaries_are_summed() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("root")).expect("make a directory");
        fs::write(dir.path().join("root/summary"), "a\t3\t0\t1\nb\t2\t1\t0\n").expect("write");
        fs::create_dir_all(dir.path().join("quick/user-systemd")).expect("make a directory");
        fs::write(dir.path().join("quick/user-systemd/summary"), "c\t2\t0\t3\n").expect("write");
        assert_eq!(total(dir.path()), [7, 1, 4]);
        assert_eq!(failed_programs(dir.path()), ["root b"]);
    }
}
