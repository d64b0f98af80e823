//! `process`.

use std::path::Path;

use oci_spec::runtime::{LinuxCapabilities, Process, User};

use super::nul;
use super::nul::no_nul;
use crate::capabilities::number;
use crate::error::{ValidateError, invalid, quoted};
use crate::process::{env, rlimit, scheduling};

/// Checks the process of a spec, or one that `exec --process` brought.
///
/// # Errors
/// The first rule that is broken, as a [`ValidateError`].
pub fn process(process: &Process) -> Result<(), ValidateError> {
    args(process)?;
    cwd(process.cwd())?;
    nul::process(process)?;
    env::check(process.env().as_deref().unwrap_or_default())?;
    rlimit::check(process.rlimits().as_deref().unwrap_or_default())?;
    if let Some(adjustment) = process.oom_score_adj().filter(|value| !(-1000..=1000).contains(value)) {
        return Err(invalid(
            "process.oomScoreAdj",
            format!("{adjustment} is out of range"),
            "use -1000 to 1000",
        ));
    }
    ids(process.user())?;
    if let Some(umask) = process.user().umask().filter(|umask| *umask > 0o777) {
        let problem = format!("{umask} (octal {umask:o}) has bits beyond the permissions");
        return Err(invalid("process.user.umask", problem, "use 0 to 511 (octal 777)"));
    }
    if let Some(capabilities) = process.capabilities() {
        effective_is_permitted(capabilities)?;
    }
    if let Some(scheduler) = process.scheduler() {
        scheduling::attributes(scheduler)?;
    }
    if let Some(priority) = process.io_priority() {
        scheduling::io_priority(priority)?;
    }
    affinity(process)
}

/// An id that means none to the kernel: setresuid(2) and chown(2) leave what is there, which is root.
pub(super) fn is_no_id(field: &str, id: u32) -> Result<(), ValidateError> {
    if id != u32::MAX {
        return Ok(());
    }
    Err(invalid(
        field,
        format!("{id} is no id: the kernel takes it for \"as it is\""),
        "use 0 to 4294967294, and what the user namespace maps",
    ))
}

fn ids(user: &User) -> Result<(), ValidateError> {
    is_no_id("process.user.uid", user.uid())?;
    is_no_id("process.user.gid", user.gid())?;
    let groups = user.additional_gids().iter().flatten();
    groups
        .enumerate()
        .try_for_each(|(index, gid)| is_no_id(&format!("process.user.additionalGids[{index}]"), *gid))
}

fn args(process: &Process) -> Result<(), ValidateError> {
    let args = process.args().as_deref().unwrap_or_default();
    if args.is_empty() {
        return Err(invalid("process.args", "args must not be empty", "name the program to run"));
    }
    args.iter()
        .enumerate()
        .try_for_each(|(index, arg)| no_nul(&format!("process.args[{index}]"), Path::new(arg)))
}

fn cwd(cwd: &Path) -> Result<(), ValidateError> {
    let remedy = "write a path from / on, such as /";
    if cwd.as_os_str().is_empty() {
        return Err(invalid("process.cwd", "Cwd property must not be empty", remedy));
    }
    if !cwd.is_absolute() {
        return Err(invalid("process.cwd", format!("{}: Cwd must be an absolute path", quoted(cwd)), remedy));
    }
    no_nul("process.cwd", cwd)
}

/// capset(2) answers EPERM to an effective capability that is not permitted, and says no more.
fn effective_is_permitted(capabilities: &LinuxCapabilities) -> Result<(), ValidateError> {
    let permitted = capabilities.permitted().clone().unwrap_or_default();
    let outside = capabilities.effective().iter().flatten().filter(|c| !permitted.contains(c));
    // The sets are hash sets: the same spec has the same error.
    let outside = outside.min_by_key(|c| number(**c));
    match outside {
        Some(capability) => Err(invalid(
            "process.capabilities.effective",
            format!("CAP_{capability} is not permitted"),
            "add it to process.capabilities.permitted as well",
        )),
        None => Ok(()),
    }
}

fn affinity(process: &Process) -> Result<(), ValidateError> {
    let Some(wanted) = process.exec_cpu_affinity() else { return Ok(()) };
    for (name, list) in [("initial", wanted.initial()), ("final", wanted.cpu_affinity_final())] {
        if let Some(list) = list {
            crate::process::affinity::parse(list).map_err(|error| {
                invalid(
                    format!("process.execCPUAffinity.{name}"),
                    error.to_string(),
                    "list CPUs of this machine",
                )
            })?;
        }
    }
    Ok(())
}
