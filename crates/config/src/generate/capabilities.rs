//! `--cap-add` and `--cap-drop`.

use std::collections::HashSet;

use oci_spec::runtime::{Capability, LinuxCapabilities, LinuxNamespaceType, Spec};

use super::error::{GenerateError, wrong};
use super::namespaces::has;
use super::{Facts, Request};
use crate::capabilities::{ALL, bit, number};

/// The capabilities that a flag names: some of them, or all.
struct Named {
    all: bool,
    some: HashSet<Capability>,
}

pub(super) fn run(
    spec: &mut Spec,
    request: &Request,
    facts: &Facts,
    warnings: &mut Vec<String>,
) -> Result<(), GenerateError> {
    let added = named("cap-add", &request.cap_add)?;
    let dropped = named("cap-drop", &request.cap_drop)?;
    if added.all && dropped.all {
        return Err(wrong("cap-drop", "ALL", "is added and dropped; keep one of them"));
    }
    if let Some(both) = ALL.iter().find(|one| added.some.contains(one) && dropped.some.contains(one)) {
        return Err(wrong("cap-drop", format!("CAP_{both}"), "is added and dropped; keep one of them"));
    }
    let namespace = has(spec, LinuxNamespaceType::User);
    let Some(process) = spec.process_mut() else { return Ok(()) };
    let defaults = process.capabilities().as_ref().and_then(|sets| sets.bounding().clone());
    let everything = ALL.into_iter().filter(|one| number(*one) <= facts.last_cap);
    let mut set: HashSet<_> = match (added.all || request.privileged_in_userns, dropped.all) {
        (true, _) => everything.collect(),
        (false, true) => HashSet::new(),
        (false, false) => defaults.unwrap_or_default(),
    };
    for one in ALL.iter().filter(|one| added.some.contains(one)) {
        let known = number(*one) <= facts.last_cap;
        if known {
            set.insert(*one);
        } else {
            let last = facts.last_cap;
            warnings
                .push(format!("--cap-add CAP_{one}: this kernel knows capabilities up to {last}; left out"));
        }
    }
    set.retain(|one| !dropped.some.contains(one));
    // In a new user namespace all capabilities are available, whatever the caller has.
    if !namespace {
        let had = |one: &&Capability| set.contains(one) && facts.capabilities & bit(**one) == 0;
        let missing: Vec<_> = ALL.iter().filter(had).copied().collect();
        for one in missing {
            set.remove(&one);
            warnings.push(format!("CAP_{one}: the caller does not have it itself; left out"));
        }
    }
    let kept = added.some.intersection(&set).copied().collect();
    let ordinary = process.user().uid() != 0;
    process.set_capabilities(Some(sets(set, kept, ordinary)));
    Ok(())
}

/// On execve(2) a process that is not root keeps only its ambient capabilities, and capabilities that were added by
/// name are meant for it; capabilities(7).
fn sets(set: HashSet<Capability>, added: HashSet<Capability>, ordinary: bool) -> LinuxCapabilities {
    let mut sets = LinuxCapabilities::default();
    let ambient = Some(added).filter(|added| ordinary && !added.is_empty());
    sets.set_bounding(Some(set.clone()))
        .set_effective(Some(set.clone()))
        .set_permitted(Some(set))
        .set_inheritable(ambient.clone())
        .set_ambient(ambient);
    sets
}

fn named(flag: &'static str, names: &[String]) -> Result<Named, GenerateError> {
    let mut result = Named { all: false, some: HashSet::new() };
    for text in names.iter().flat_map(|names| names.split(',')) {
        let upper = text.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        if name == "ALL" {
            result.all = true;
            continue;
        }
        let found = ALL.into_iter().find(|one| one.to_string() == name);
        let unknown = || wrong(flag, text, "is not a capability; use a name of capabilities(7), or ALL");
        result.some.insert(found.ok_or_else(unknown)?);
    }
    Ok(result)
}
