//! The totals of all cases by system call.

use std::collections::BTreeMap;
use std::fmt;

use super::cases::Case;
use super::finding::{Crash, Finding};
use super::judge::Verdict;

/// The findings that have a column, with its heading.
const COLUMNS: [(Finding, &str); 11] = [
    (Finding::Message, "message"),
    (Finding::Leftover, "left"),
    (Finding::Crash(Crash::Start), "start"),
    (Finding::Crash(Crash::Own), "crash"),
    (Finding::Crash(Crash::Pathrs), "pathrs"),
    (Finding::Crash(Crash::Libcontainer), "libcont."),
    (Finding::Hang, "hang"),
    (Finding::Orphan, "orphan"),
    (Finding::WrongSuccess, "wrong"),
    (Finding::Harm, "harm"),
    (Finding::Stuck, "stuck"),
];

#[derive(Clone, Debug, Default)]
struct Row {
    tried: usize,
    succeeded: usize,
    clean: usize,
    findings: BTreeMap<Finding, usize>,
}

impl Row {
    fn add(&mut self, other: &Self) {
        self.tried += other.tried;
        self.succeeded += other.succeeded;
        self.clean += other.clean;
        for (finding, count) in &other.findings {
            *self.findings.entry(*finding).or_default() += count;
        }
    }
}

/// The number of cases for each call, and their results.
#[derive(Debug, Default)]
pub struct Table {
    rows: BTreeMap<String, Row>,
    /// The number of cases whose call was not made, because of threads or of something that has changed meanwhile.
    pub missed: usize,
    /// What the machine did not allow to be tried, or what was left at the end.
    pub faults: Vec<String>,
}

impl Table {
    pub(super) fn count(&mut self, case: &Case, verdict: &Verdict) {
        if !verdict.reached {
            self.missed += 1;
            return;
        }
        let row = self.rows.entry(case.fault.call.clone()).or_default();
        row.tried += 1;
        if verdict.findings.is_empty() {
            *(if verdict.exit == 0 { &mut row.succeeded } else { &mut row.clean }) += 1;
        }
        for (finding, _) in &verdict.findings {
            *row.findings.entry(*finding).or_default() += 1;
        }
    }

    fn sum(&self) -> Row {
        let mut sum = Row::default();
        self.rows.values().for_each(|row| sum.add(row));
        sum
    }

    /// The number of cases.
    pub fn tried(&self) -> usize {
        self.sum().tried
    }

    /// Whether any unacceptable finding was made.
    pub fn is_bad(&self) -> bool {
        !self.faults.is_empty() || self.sum().findings.keys().any(|finding| finding.is_bad())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.keys().map(String::len).max().unwrap_or_default().max(4);
        write!(f, "{:width$}  tried  success  error", "call")?;
        for (_, head) in COLUMNS {
            write!(f, "  {head}")?;
        }
        let sum = self.sum();
        for (call, row) in self.rows.iter().chain([(&"all".to_owned(), &sum)]) {
            write!(f, "\n{call:width$}  {:5}  {:7}  {:5}", row.tried, row.succeeded, row.clean)?;
            for (finding, head) in COLUMNS {
                let count = row.findings.get(&finding).map_or_else(|| "-".to_owned(), usize::to_string);
                write!(f, "  {count:>0$}", head.len())?;
            }
        }
        writeln!(f)
    }
}
