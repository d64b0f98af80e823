//! Records the calls, and carries out the cases on several processors.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::Verb;
use super::cases::{self, Case};
use super::errors::{CANNOT_FAIL, is_known};
use super::judge::{Reference, Verdict};
use super::scene::Scene;
use super::table::Table;
use crate::{Test, Who, leaks};

/// What is to be tried.
#[derive(Debug, Default)]
pub struct Plan {
    /// The cases in the order of the calls.
    pub cases: Vec<Case>,
    /// Commands that cannot be tried, with the reason.
    pub left_out: Vec<String>,
    /// Calls that were made but cannot fail.
    pub cannot_fail: BTreeSet<String>,
    /// Calls that were made but are missing from the table of errors.
    pub unknown: BTreeSet<String>,
}

impl Plan {
    /// Records the calls of these commands.
    pub fn new(who: Who, verbs: &[Verb]) -> Self {
        let mut plan = Self::default();
        let test = match Test::new(who) {
            Ok(test) => test,
            Err(why) => {
                plan.left_out.push(format!("{who:?}: {why}"));
                return plan;
            }
        };
        for &verb in verbs {
            let mut stage = match Stage::new(&test, verb) {
                Ok(stage) => stage,
                Err(why) => {
                    plan.left_out.push(format!("{verb} of {who:?}: {why}"));
                    continue;
                }
            };
            match stage.scene.attempt(None, Some(&stage.reference)) {
                Ok((traced, verdict)) if traced.output.exit() == 0 && verdict.findings.is_empty() => {
                    plan.cases.extend(cases::of_calls(verb, who, &traced.calls));
                    let names: BTreeSet<String> = traced.calls.into_iter().map(|call| call.name).collect();
                    let (cannot, can): (BTreeSet<_>, BTreeSet<_>) =
                        names.into_iter().partition(|name| CANNOT_FAIL.contains(&name.as_str()));
                    plan.cannot_fail.extend(cannot);
                    plan.unknown.extend(can.into_iter().filter(|name| !is_known(name)));
                }
                Ok((traced, verdict)) => {
                    let (exit, error) = (traced.output.exit(), traced.output.stderr);
                    plan.left_out
                        .push(format!("{verb} of {who:?}: exit {exit} {:?}: {error}", verdict.findings));
                }
                Err(why) => plan.left_out.push(format!("{verb} of {who:?}: {why}")),
            }
            plan.left_out.extend(stage.scene.end().err());
        }
        leaks::remove_cgroups(test.marker());
        plan
    }
}

/// A scene, and what its programs report if nothing fails.
struct Stage<'a> {
    scene: Scene<'a>,
    reference: Reference,
}

impl<'a> Stage<'a> {
    fn new(test: &'a Test, verb: Verb) -> Result<Self, String> {
        let mut scene = Scene::new(test, verb);
        let reference = scene.reference()?;
        Ok(Self { scene, reference })
    }
}

/// What is called as the cases are carried out, with the case, its result, and the number of cases so far.
pub type Progress<'a> = &'a (dyn Fn(&Case, &Verdict, usize) + Sync);

/// Carries out all cases with this number of workers.
pub fn carry_out(cases: &[Case], workers: usize, progress: Progress<'_>) -> Table {
    let (next, table) = (AtomicUsize::new(0), Mutex::new(Table::default()));
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| work(cases, &next, &table, progress));
        }
    });
    table.into_inner().expect("the table")
}

fn work(cases: &[Case], next: &AtomicUsize, table: &Mutex<Table>, progress: Progress<'_>) {
    let tests = [OnceCell::new(), OnceCell::new()];
    let mut stage: Option<Stage> = None;
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        let Some(case) = cases.get(at) else { break };
        let is_this = |stage: &Stage| stage.scene.verb == case.verb && stage.scene.t.who() == case.who;
        if !stage.as_ref().is_some_and(is_this) {
            if let Some(Err(why)) = stage.take().map(|mut former| former.scene.end()) {
                fault(table, why);
            }
            let test = tests[usize::from(case.who == Who::Root)]
                .get_or_init(|| Test::new(case.who).expect("what a test stands on"));
            stage = Stage::new(test, case.verb).map_err(|why| fault(table, format!("{case}: {why}"))).ok();
        }
        let Some(stage) = &mut stage else { continue };
        match attempt(stage, case) {
            Ok(verdict) => {
                table.lock().expect("the table").count(case, &verdict);
                progress(case, &verdict, at + 1);
            }
            Err(why) => fault(table, format!("{case}: {why}")),
        }
    }
    if let Some(Err(why)) = stage.map(|mut last| last.scene.end()) {
        fault(table, why);
    }
    for test in tests.iter().filter_map(OnceCell::get) {
        // The cgroups that were delegated.
        leaks::remove_cgroups(test.marker());
        let left = leaks::left(test);
        if !left.is_empty() {
            fault(table, format!("left at the end:\n{}", left.join("\n")));
        }
    }
}

fn fault(table: &Mutex<Table>, what: String) {
    table.lock().expect("the table").faults.push(what);
}

/// Carries out a case; again if its call was not made, as may happen with threads.
fn attempt(stage: &mut Stage, case: &Case) -> Result<Verdict, String> {
    let (_, verdict) = stage.scene.attempt(Some(case), Some(&stage.reference))?;
    if verdict.reached {
        return Ok(verdict);
    }
    Ok(stage.scene.attempt(Some(case), Some(&stage.reference))?.1)
}
