//! A case: a command, an account, and one call that fails.

use std::fmt;
use std::str::FromStr;

use nix::errno::Errno;

use super::Verb;
use super::errors::{by_name, errors};
use super::trace::Call;
use crate::{Who, calls};

/// The call that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which of the command's processes makes it.
    pub role: String,
    /// Its name.
    pub call: String,
    pub(super) number: i64,
    /// Its number among the calls of that name by the role, from 1.
    pub nth: usize,
    /// The error with which it fails.
    pub errno: Errno,
}

/// A command in which one call fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// The command.
    pub verb: Verb,
    /// The account that runs it.
    pub who: Who,
    /// The fault.
    pub fault: Fault,
    /// Whether the call precedes `main` of a Rust program, where nothing can be reported or done about it.
    pub start: bool,
}

/// The cases for a command whose processes make these calls.
pub(super) fn of_calls(verb: Verb, who: Who, calls: &[Call]) -> Vec<Case> {
    let mut cases = Vec::new();
    for call in calls {
        let Some(number) = calls::number(&call.name) else { continue };
        // An error that the call returns anyway is not a fault.
        for &errno in errors(&call.name).iter().filter(|&&errno| Some(errno) != call.errno) {
            let (role, name) = (call.role.clone(), call.name.clone());
            let fault = Fault { role, call: name, number: i32::from(number).into(), nth: call.nth, errno };
            cases.push(Case { verb, who, fault, start: call.start });
        }
    }
    cases
}

/// `count` of the cases at equal distances, which are the same every time.
pub fn sample(cases: Vec<Case>, count: usize) -> Vec<Case> {
    let all = cases.len();
    if count >= all {
        return cases;
    }
    let chosen = |at: usize| (at * count) / all != ((at + 1) * count) / all;
    cases.into_iter().enumerate().filter(|&(at, _)| chosen(at)).map(|(_, case)| case).collect()
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { role, call, nth, errno, .. } = &self.fault;
        let who = if self.who == Who::Root { "root" } else { "user" };
        write!(f, "{}:{who}:{role}:{call}:{nth}:{errno:?}", self.verb)
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let [verb, who, role, call, nth, errno] = parts[..] else {
            return Err(format!("not COMMAND:ACCOUNT:ROLE:CALL:NUMBER:ERROR: {text:?}"));
        };
        let who = match who {
            "user" => Who::User,
            "root" => Who::Root,
            _ => return Err(format!("neither user nor root: {who:?}")),
        };
        let number = calls::number(call).ok_or_else(|| format!("no system call: {call:?}"))?;
        let nth = nth.parse().map_err(|_| format!("no number: {nth:?}"))?;
        let errno = by_name(errno).ok_or_else(|| format!("no error: {errno:?}"))?;
        let (role, call) = (role.to_owned(), call.to_owned());
        let fault = Fault { role, call, number: i32::from(number).into(), nth, errno };
        Ok(Self { verb: verb.parse()?, who, fault, start: false })
    }
}
