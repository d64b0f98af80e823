//! `kill --regex` and `delete --regex`, as crun has them: one command for many containers.

use regex_lite::Regex;
use rootling_config::id::ContainerId;
use rootling_runtime::{Error, Listed, Result, Store};

/// Does something to the container of this id, or with `regex` to each whose id matches. A failure does not
/// keep the others from it.
pub(super) fn each(
    store: &Store,
    id: &str,
    regex: bool,
    act: impl Fn(&ContainerId) -> Result<()>,
) -> Result<()> {
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
