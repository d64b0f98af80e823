//! `doctor`: whether containers can run here, and what to do if they cannot.

mod table;
mod trial;

use std::process::ExitCode;

use rootling_rootless::doctor::{Check, Distribution, Verdict, examine, suspects};
use rootling_rootless::host::Host;
use rootling_runtime::Result;
use serde::Serialize;

use crate::terminal::print;
use crate::{args, terminal};

pub(crate) fn doctor(host: &Host, args: &args::Doctor) -> Result<ExitCode> {
    let checks = all_checks(host, trial::check(host));
    let distribution = Distribution::of(host).name;
    print(&if args.json {
        json(&checks, &distribution)?
    } else {
        table::render(&checks, terminal::width())?
    })?;
    let can_run = checks.iter().all(|check| check.verdict != Verdict::Failed);
    Ok(if can_run { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The checks of the host, followed by the trial of a container.
fn all_checks(host: &Host, trial: Check) -> Vec<Check> {
    let mut checks = examine(host);
    let failed = trial.verdict == Verdict::Failed;
    // If there is a certain reason, guesses are not needed.
    if failed && checks.iter().all(|check| check.verdict != Verdict::Failed) {
        checks.extend(suspects(host));
    }
    checks.push(trial);
    checks
}

/// The output of `--json`.
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
    Ok(serde_json::to_string_pretty(&report).map(|text| text + "\n")?)
}

#[cfg(test)]
mod tests {
    use rootling_rootless::host::Fixture;

    use super::*;
    use crate::picture;

    /// The file system of cgroup v2: statfs(2).
    const CGROUP2: u64 = 0x6367_7270;

    /// A freshly installed Debian: without the package uidmap and without subordinate ids.
    fn minimal_debian() -> Fixture {
        Fixture::ordinary(1000)
            .kernel("6.12.48+deb13-amd64")
            .file("/etc/passwd", "alice:x:1000:1000::/home/alice:/bin/sh\n")
            .file("/etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n")
            .file("/etc/subuid", "")
            .file("/etc/subgid", "")
            .file("/proc/key-users", " 1000: 7 7/7 5/200 90/20000\n")
            .file("/proc/sys/net/ipv4/ping_group_range", "0\t2147483647\n")
            .variable("PWD", "/home/alice")
            .directory("/")
            .directory("/home")
            .directory_of("/home/alice", 0o755, 1000)
            .variable("XDG_RUNTIME_DIR", "/run/user/1000")
            .directory_of("/run/user/1000", 0o700, 1000)
            .fs("/sys/fs/cgroup", CGROUP2)
            .file("/proc/self/cgroup", "0::/mine\n")
            .cgroup("/sys/fs/cgroup/mine", "cpuset cpu io memory pids")
    }

    #[test]
    fn picture_in_the_docs_shows_the_table_and_the_fixes() {
        let checks = all_checks(&Host::on(minimal_debian()), trial::passed());
        let printed = table::render(&checks, picture::WIDTH).unwrap();
        picture::assert_shows("doctor", "rootling doctor", &printed);
    }
}
