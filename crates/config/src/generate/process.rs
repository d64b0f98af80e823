//! The process: what is run, where, and as which user.

use oci_spec::runtime::{Process, Spec};

use super::error::{GenerateError, wrong};
use super::{Facts, Request, rlimits};
use crate::resources;

/// Parses `--env` as Docker does: `KEY=VALUE`, or `KEY` alone for the caller's own value, if there is one.
///
/// # Errors
/// [`GenerateError::Flag`] for an empty name.
pub fn environment(
    given: &[String],
    own: impl Fn(&str) -> Option<String>,
) -> Result<Vec<String>, GenerateError> {
    let mut variables = Vec::new();
    for text in given {
        let name = text.split_once('=').map_or(text.as_str(), |(name, _)| name);
        if name.is_empty() {
            return Err(wrong("env", text, "has no name; write NAME=VALUE"));
        }
        if text.contains('=') {
            variables.push(text.clone());
        } else if let Some(value) = own(name) {
            variables.push(format!("{name}={value}"));
        }
    }
    Ok(variables)
}

pub(super) fn run(
    spec: &mut Spec,
    request: &Request,
    facts: &Facts,
    warnings: &mut Vec<String>,
) -> Result<(), GenerateError> {
    let mut process = spec.process_mut().take().unwrap_or_default();
    process.set_terminal(Some(request.tty));
    if !request.args.is_empty() {
        process.set_args(Some(request.args.clone()));
    }
    set_environment(&mut process, &request.env);
    if let Some(dir) = &request.workdir {
        if !dir.starts_with('/') {
            return Err(wrong("workdir", dir, "is not absolute; begin it with /"));
        }
        process.set_cwd(dir.into());
    }
    set_user(&mut process, request, facts, spec, warnings);
    rlimits::run(&mut process, &request.ulimit, facts, warnings)?;
    if let Some(wanted) = request.oom_score_adj {
        let mut score = resources::oom_score_adj(wanted)?;
        if facts.is_ordinary_user() && score < facts.oom_score_adj {
            warnings.push(format!(
                "--oom-score-adj {score}: an ordinary user cannot go below its own {}, which is used",
                facts.oom_score_adj
            ));
            score = facts.oom_score_adj;
        }
        process.set_oom_score_adj(Some(score));
    }
    spec.set_process(Some(process));
    set_root(spec, request)
}

/// Sets variables; a later value of a name replaces the earlier one in its place.
fn set_environment(process: &mut Process, given: &[String]) {
    let mut variables = process.env().clone().unwrap_or_default();
    for text in given {
        let name = text.split_once('=').map_or(text.as_str(), |(name, _)| name);
        let same = |known: &&mut String| known.split_once('=').is_some_and(|(known, _)| known == name);
        match variables.iter_mut().find(same) {
            Some(known) => known.clone_from(text),
            None => variables.push(text.clone()),
        }
    }
    process.set_env(Some(variables));
}

fn set_user(
    process: &mut Process,
    request: &Request,
    facts: &Facts,
    spec: &Spec,
    warnings: &mut Vec<String>,
) {
    let Some(wanted) = &request.user else { return };
    let mut user = process.user().clone();
    user.set_uid(wanted.uid).set_gid(wanted.gid);
    // If only the caller's own group is mapped, the kernel denies setgroups; user_namespaces(7).
    let maps = spec.linux().as_ref().and_then(|linux| linux.gid_mappings().as_ref());
    let one = maps.is_some_and(|maps| maps.iter().map(|map| u64::from(map.size())).sum::<u64>() == 1);
    let others: Vec<_> = wanted.groups.iter().filter(|group| **group != wanted.gid).collect();
    if !others.is_empty() && one {
        warnings.push(format!(
            "--user: the groups {others:?} that the image counts the user among are left out, since only one group is mapped"
        ));
    } else if !others.is_empty() || !facts.is_ordinary_user() {
        // runc refuses a container of an ordinary user that has any.
        user.set_additional_gids(Some(wanted.groups.clone()));
    }
    process.set_user(user);
}

fn set_root(spec: &mut Spec, request: &Request) -> Result<(), GenerateError> {
    let mut root = spec.root_mut().take().unwrap_or_default();
    root.set_readonly(Some(request.readonly));
    if let Some(path) = &request.rootfs {
        if path.as_os_str().is_empty() {
            return Err(wrong("rootfs", "", "is empty; name a directory"));
        }
        root.set_path(path.clone());
    }
    spec.set_root(Some(root));
    Ok(())
}
