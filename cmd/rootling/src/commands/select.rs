//! Applies a command to several containers: several ids, and `kill --regex` and `delete --regex`, as in crun.

use std::process::ExitCode;

use regex_lite::Regex;
use rootling_config::id::ContainerId;
use rootling_runtime::{Error, Listed, Result, Store, parse_signal};

use crate::log;

/// Applies `act` to each of the containers. If there are several, each failure is reported on a line of its own,
/// and does not affect the others.
pub(super) fn each(
    store: &Store,
    command: &str,
    ids: &[String],
    regex: bool,
    act: impl Fn(&ContainerId) -> Result<()>,
) -> Result<ExitCode> {
    if let [id] = ids {
        return one(store, id, regex, &act).map(|()| ExitCode::SUCCESS);
    }
    let mut code = ExitCode::SUCCESS;
    for id in ids {
        if let Err(error) = one(store, id, regex, &act) {
            log::failure(&format!("{command} {id:?}: {error}"));
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

/// Splits the words of `kill`: if there are several, the last is a signal, unless it is not one and a container has
/// that name.
pub(super) fn ids_and_signal<'a>(store: &Store, words: &'a [String]) -> Result<(&'a [String], i32)> {
    let default = || parse_signal("SIGTERM");
    let [ids @ .., last] = words else { return Ok((words, default()?)) };
    if ids.is_empty() {
        return Ok((words, default()?));
    }
    match parse_signal(last) {
        Ok(signal) => Ok((ids, signal)),
        Err(_) if ContainerId::parse(last).is_ok_and(|id| store.open(&id).is_ok()) => Ok((words, default()?)),
        Err(error) => Err(error),
    }
}

/// Applies `act` to the container with this id or, with `regex`, to each whose id matches.
fn one(store: &Store, id: &str, regex: bool, act: &impl Fn(&ContainerId) -> Result<()>) -> Result<()> {
    if !regex {
        return act(&ContainerId::parse(id)?);
    }
    let pattern = Regex::new(id).map_err(|e| {
        Error::invalid(format!("--regex: {id:?}: {e}; write a regular expression, such as '^web-[0-9]+$'"))
    })?;
    let mut failures = Vec::new();
    for entry in store.list()? {
        let id = match entry {
            Listed::Container(slot, _) => slot.id().clone(),
            Listed::Damaged(name, _) => ContainerId::parse(&name)?,
        };
        if pattern.is_match(id.as_str())
            && let Err(error) = act(&id)
        {
            failures.push(error);
        }
    }
    let others = failures.len().saturating_sub(1);
    match failures.into_iter().next() {
        Some(error) if others > 0 => Err(error.remedy(format!("{others} more failed as well"))),
        Some(error) => Err(error),
        None => Ok(()),
    }
}
