//! The result of a command in which a call fails.

use nix::unistd::Pid;

use super::Verb;
use super::cases::Case;
use super::finding::{Crash, Finding};
use super::report::SIGNALLED;
use super::scene::{Container, SOON, Scene, lives};
use super::trace::{self, Traced};
use crate::cgroups::Cgroup;
use crate::wait::holds_within;
use crate::{Output, leaks};

/// The result of a case.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Whether the call was made, and failed.
    pub reached: bool,
    /// The exit code of the command.
    pub exit: i32,
    /// The problems, each with its details.
    pub findings: Vec<(Finding, String)>,
}

impl Verdict {
    fn add(&mut self, finding: Finding, what: impl Into<String>) {
        self.findings.push((finding, what.into()));
    }
}

/// The exit code and the output of a command.
fn said(output: &Output) -> String {
    format!("exit {}: {}", output.exit(), output.stderr.trim_end())
}

/// Lines of an output that are neither empty nor a warning.
fn lines(output: &Output) -> Vec<&str> {
    let is_warning = |line: &str| ["warning: ", "level=warning"].iter().any(|sign| line.contains(sign));
    output.stderr.lines().filter(|line| !line.trim().is_empty() && !is_warning(line)).collect()
}

/// Judges the exit code and the output of the command.
pub(super) fn of_words(case: &Case, traced: &Traced) -> Verdict {
    let output = &traced.output;
    let mut verdict = Verdict { reached: traced.reached, exit: output.exit(), findings: Vec::new() };
    if traced.hung {
        verdict.add(Finding::Hang, said(output));
        return verdict;
    }
    if let Some(crash) = crash(case, output) {
        verdict.add(Finding::Crash(crash), said(output));
    } else if output.exit() != 0 && lines(output).len() != 1 {
        verdict.add(Finding::Message, format!("{} lines: {}", lines(output).len(), said(output)));
    } else if let Some(debug) =
        ["Os {", "Err(", "Error {", "err=", "Some("].iter().find(|text| output.stderr.contains(**text))
    {
        verdict.add(Finding::Message, format!("text for programmers, {debug:?}: {}", said(output)));
    }
    verdict
}

fn crash(case: &Case, output: &Output) -> Option<Crash> {
    let place = output.stderr.split("panicked at ").nth(1);
    match place {
        None if output.exit() >= 0 && !output.stderr.contains("fatal runtime error") => None,
        _ if case.start => Some(Crash::Start),
        // The alternate signal stack of a thread is made before its code is reached as well.
        Some(place) if place.contains("/sys/pal/unix/stack_overflow.rs") => Some(Crash::Start),
        Some(place) if place.contains("/pathrs-") => Some(Crash::Pathrs),
        Some(place) if place.contains("/libcontainer-") || place.contains("/libcgroups-") => {
            Some(Crash::Libcontainer)
        }
        _ => Some(Crash::Own),
    }
}

/// How many signals the program has reported.
fn signals(output: &Output) -> usize {
    output.clone().read_again().stdout.matches(SIGNALLED).count()
}

/// The pending signals of a process, which show whether one was sent and the process is only slow.
fn pending(pid: i32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    let line = |line: &&str| line.starts_with("SigPnd") || line.starts_with("ShdPnd");
    status.map_or_else(|e| e.to_string(), |status| status.lines().filter(line).collect::<Vec<_>>().join(", "))
}

/// What the programs report if no call fails.
pub(super) struct Reference {
    pub(super) report: String,
}

impl Scene<'_> {
    /// Prepares the container that the command works on, or the id of the one that it makes.
    fn prepare(&mut self) -> Result<Option<Container>, String> {
        match self.verb {
            Verb::Create | Verb::Run | Verb::RunDetached => Ok(None),
            Verb::Start => self.created().map(Some),
            Verb::Delete => self.stopped().map(Some),
            Verb::DeleteForce => self.running().map(Some),
            Verb::Exec | Verb::Kill | Verb::Update | Verb::Pause | Verb::Resume => {
                let standing = match self.standing.take() {
                    Some(standing) => standing,
                    None => self.running()?,
                };
                if self.verb == Verb::Resume {
                    let pause = self.t.rootling(&["pause", &standing.id]).output();
                    if pause.exit() != 0 {
                        // To be removed at the end nevertheless.
                        self.standing = Some(standing);
                        return Err(said(&pause));
                    }
                }
                Ok(Some(standing))
            }
        }
    }

    /// Runs one command, with the failing call of the case if there is one, and returns the result. An error is a
    /// problem of the machine.
    pub(super) fn attempt(
        &mut self,
        case: Option<&Case>,
        reference: Option<&Reference>,
    ) -> Result<(Traced, Verdict), String> {
        let container = self.prepare()?;
        let id = match &container {
            Some(container) => container.id.clone(),
            None => self.new_id(),
        };
        self.count += 1;
        let said = |container: &Container| signals(&container.output);
        self.signals = container.as_ref().map_or(0, said);
        let waiting = container.as_ref().filter(|_| self.verb == Verb::Start).map(|it| Pid::from_raw(it.pid));
        let traced = trace::run(self.command(&id), case.map(|case| &case.fault), waiting);
        let mut verdict = case.map_or_else(Verdict::default, |case| of_words(case, &traced));
        verdict.exit = traced.output.exit();
        match container {
            None => self.judge_launch(&id, &traced, reference, &mut verdict),
            Some(container) if self.verb.needs_standing() => {
                self.judge_standing(container, &traced, reference, &mut verdict);
            }
            Some(container) => self.judge_last(&container, &traced, reference, &mut verdict),
        }
        Ok((traced, verdict))
    }

    /// Compares what a program has seen of its container.
    fn compare(id: &str, found: Option<&str>, reference: Option<&Reference>, verdict: &mut Verdict) {
        let Some(reference) = reference else { return };
        let Some(found) = found else {
            return verdict.add(Finding::WrongSuccess, format!("{id}: the program does not run"));
        };
        if found != reference.report {
            let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
            let (found, wanted) = (lines(found), lines(&reference.report));
            let lacks = wanted.iter().filter(|line| !found.contains(line)).map(|line| format!("\n- {line}"));
            let has = found.iter().filter(|line| !wanted.contains(line)).map(|line| format!("\n+ {line}"));
            verdict.add(Finding::WrongSuccess, lacks.chain(has).collect::<String>());
        }
    }

    /// Judges a command that makes a container.
    fn judge_launch(
        &mut self,
        id: &str,
        traced: &Traced,
        reference: Option<&Reference>,
        verdict: &mut Verdict,
    ) {
        let mut pids: Vec<i32> = traced.left.iter().map(|pid| pid.as_raw()).collect();
        if traced.output.exit() != 0 {
            if pids.iter().any(|&pid| lives(pid)) && !self.on_record(id) {
                verdict.add(Finding::Orphan, format!("{pids:?}: {}", said(&traced.output)));
            }
            if !self.is_gone(id, &pids) {
                let rest = self.rest(id, &pids).join(", ");
                verdict.add(Finding::Leftover, format!("{rest}: {}", said(&traced.output)));
                self.remove(id, &pids, verdict);
            }
            return;
        }
        if let Some((_, pid)) = self.status(id) {
            pids.push(pid);
        }
        let mut started = true;
        if self.verb == Verb::Create {
            let start = self.t.rootling(&["start", id]).output();
            if start.exit() != 0 {
                verdict.add(Finding::WrongSuccess, format!("it cannot be started: {}", said(&start)));
                started = false;
            }
        }
        if started {
            let report = self.report(id, &traced.output);
            Self::compare(id, report.as_deref(), reference, verdict);
        }
        // The program has ended as it should, and the command with its exit code; a record that is left behind must
        // be reported.
        if self.verb == Verb::Run && !self.is_gone(id, &pids) {
            let rest = self.rest(id, &pids).join(", ");
            verdict.add(Finding::Leftover, format!("{rest}: {}", said(&traced.output)));
            if traced.output.stderr.is_empty() {
                verdict.add(Finding::Message, format!("nothing is said of what is left: {rest}"));
            }
            self.remove(id, &pids, verdict);
        } else if self.verb != Verb::Run {
            self.remove(id, &pids, verdict);
        }
    }

    /// Judges a command after which the container is removed.
    fn judge_last(
        &mut self,
        container: &Container,
        traced: &Traced,
        reference: Option<&Reference>,
        verdict: &mut Verdict,
    ) {
        let (id, pids) = (&container.id, [container.pid]);
        let succeeded = traced.output.exit() == 0;
        if succeeded && self.verb == Verb::Start {
            let report = self.report(id, &container.output);
            Self::compare(id, report.as_deref(), reference, verdict);
        } else if succeeded && !self.is_gone(id, &pids) {
            verdict.add(Finding::WrongSuccess, format!("left: {}", self.rest(id, &pids).join(", ")));
        }
        if lives(container.pid) && !holds_within(SOON / 10, || !lives(container.pid) || self.on_record(id)) {
            verdict.add(Finding::Orphan, format!("{}: {}", container.pid, said(&traced.output)));
        }
        if !self.rest(id, &pids).is_empty() {
            self.remove(id, &pids, verdict);
        }
    }

    /// Judges a command that leaves the container running.
    fn judge_standing(
        &mut self,
        container: Container,
        traced: &Traced,
        reference: Option<&Reference>,
        verdict: &mut Verdict,
    ) {
        let (id, pid) = (container.id.clone(), container.pid);
        if traced.output.exit() == 0 {
            self.judge_effect(&container, traced, reference, verdict);
        }
        let mut status = self.status(&id);
        if matches!(self.verb, Verb::Pause | Verb::Resume)
            && status.as_ref().is_some_and(|(status, _)| status == "paused")
        {
            let resume = self.t.rootling(&["resume", &id]).output();
            if resume.exit() != 0 {
                verdict.add(Finding::Harm, format!("it is paused for ever: {}", said(&resume)));
            }
            status = self.status(&id);
        }
        let healthy = status == Some(("running".to_owned(), pid)) && lives(pid);
        if !healthy {
            verdict.add(Finding::Harm, format!("{status:?} after {}", said(&traced.output)));
        }
        let strays: Vec<i32> = traced.left.iter().map(|pid| pid.as_raw()).filter(|&pid| lives(pid)).collect();
        if !strays.is_empty() {
            verdict.add(Finding::Leftover, format!("processes {strays:?}: {}", said(&traced.output)));
        }
        if healthy && strays.is_empty() && verdict.findings.is_empty() {
            self.standing = Some(container);
        } else {
            self.remove(&id, &[&[pid], &strays[..]].concat(), verdict);
        }
    }

    /// Whether a reported success is real.
    fn judge_effect(
        &self,
        container: &Container,
        traced: &Traced,
        reference: Option<&Reference>,
        verdict: &mut Verdict,
    ) {
        let id = &container.id;
        let status = || self.status(id).map(|(status, _)| status);
        let signals = || signals(&container.output);
        match self.verb {
            Verb::Exec => {
                let report = self.report(id, &traced.output);
                Self::compare(id, report.as_deref(), reference, verdict);
            }
            Verb::Kill if !holds_within(SOON, || signals() > self.signals) => {
                let what = format!("the signal does not arrive: {}", pending(container.pid));
                verdict.add(Finding::WrongSuccess, what);
            }
            Verb::Update => {
                let found = Cgroup::of(&container.pid.to_string()).read("pids", "pids.max", "pids.max");
                if found != self.limit().to_string() {
                    verdict.add(Finding::WrongSuccess, format!("the limit is {found}, not {}", self.limit()));
                }
            }
            Verb::Pause if status().as_deref() != Some("paused") => {
                verdict.add(Finding::WrongSuccess, format!("it is {:?}, not paused", status()));
            }
            Verb::Resume if status().as_deref() != Some("running") => {
                verdict.add(Finding::WrongSuccess, format!("it is {:?}, not running", status()));
            }
            _ => {}
        }
    }

    /// Runs `delete --force`, after which nothing may be left.
    fn remove(&self, id: &str, pids: &[i32], verdict: &mut Verdict) {
        let delete = self.t.rootling(&["delete", "--force", id]).output();
        if delete.exit() == 0 && self.is_gone(id, pids) {
            return;
        }
        let rest = self.rest(id, pids).join(", ");
        let living: Vec<i32> = pids.iter().copied().filter(|&pid| lives(pid)).collect();
        let finding = if living.is_empty() || self.on_record(id) { Finding::Stuck } else { Finding::Orphan };
        verdict.add(finding, format!("{rest}: {}", said(&delete)));
        for pid in living {
            let _ = nix::sys::signal::kill(Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        holds_within(SOON, || pids.iter().all(|&pid| !lives(pid)));
        leaks::remove_cgroups(&format!("{}/box", self.t.marker()));
        leaks::remove_cgroups(id);
        let _ = std::fs::remove_dir_all(self.t.state_root().join(id));
    }
}
