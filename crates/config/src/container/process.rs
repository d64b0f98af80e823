//! `process`.

use std::ffi::CString;
use std::path::Path;

use oci_spec::runtime::{self, ExecCPUAffinity, LinuxCapabilities, User};

use super::nul;
use super::nul::no_nul;
use crate::capabilities::number;
use crate::error::{ValidateError, invalid, quoted};
use crate::process::affinity::NumberSet;
use crate::process::{env, rlimit, scheduling};
use rootling_sys::scheduling::SchedAttr;

/// The process of a container or of an `exec`, which breaks no rule. Only [`Process::parse`] and [`Process::waiting`]
/// make one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Process {
    /// The object as written, for fields that need no other form.
    pub written: runtime::Process,
    /// `args`; empty for a process that only waits.
    pub args: Vec<CString>,
    /// `env`, with each name only once.
    pub env: Vec<CString>,
    /// `rlimits`: the number, the soft and the hard limit of each.
    pub rlimits: Vec<(u32, u64, u64)>,
    /// `scheduler`, for sched_setattr(2).
    pub scheduler: Option<SchedAttr>,
    /// `ioPriority`, for ioprio_set(2).
    pub io_priority: Option<i32>,
    /// `execCPUAffinity`.
    pub affinity: Affinity,
}

/// `process.execCPUAffinity`; the affinity is left unchanged where no CPUs are given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// `initial`: applies while the process joins the container.
    pub initial: Option<NumberSet>,
    /// `final`: applies in the container's cgroup.
    pub last: Option<NumberSet>,
}

impl Process {
    /// Parses the process of a spec, or one given with `exec --process`.
    ///
    /// # Errors
    /// The first rule that is broken, as a [`ValidateError`].
    pub fn parse(process: runtime::Process) -> Result<Self, ValidateError> {
        let args = args(&process)?;
        cwd(process.cwd())?;
        nul::process(&process)?;
        let env = env::parse(process.env().as_deref().unwrap_or_default())?;
        let rlimits = rlimit::parse(process.rlimits().as_deref().unwrap_or_default())?;
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
        let scheduler = process.scheduler().as_ref().map(scheduling::attributes).transpose()?;
        let io_priority = process.io_priority().as_ref().map(scheduling::io_priority).transpose()?;
        let affinity = process.exec_cpu_affinity().as_ref().map(affinity).transpose()?.unwrap_or_default();
        Ok(Self { written: process, args, env, rlimits, scheduler, io_priority, affinity })
    }

    /// The process of a container without `process`: it waits for a start that never comes, and has no privileges.
    pub fn waiting((uid, gid): (u32, u32)) -> Self {
        let mut user = User::default();
        user.set_uid(uid).set_gid(gid);
        let mut process = runtime::Process::default();
        process.set_user(user).set_args(Some(Vec::new())).set_env(Some(vec!["HOME=/".to_owned()]));
        process.set_cwd("/".into()).set_no_new_privileges(Some(true));
        process.set_capabilities(None).set_rlimits(None);
        Self {
            written: process,
            args: Vec::new(),
            env: vec![c"HOME=/".to_owned()],
            rlimits: Vec::new(),
            scheduler: None,
            io_priority: None,
            affinity: Affinity::default(),
        }
    }
}

/// Rejects the id that is not an id to the kernel: setresuid(2) and chown(2) leave the current one then, which is
/// root.
pub(super) fn is_no_id(field: &str, id: u32) -> Result<(), ValidateError> {
    if id != u32::MAX {
        return Ok(());
    }
    Err(invalid(
        field,
        format!("{id} cannot be an id: to the kernel it means \"unchanged\""),
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

fn args(process: &runtime::Process) -> Result<Vec<CString>, ValidateError> {
    let args = process.args().as_deref().unwrap_or_default();
    if args.is_empty() {
        return Err(invalid("process.args", "args must not be empty", "name the program to run"));
    }
    let arg = |(index, arg): (usize, &String)| {
        CString::new(arg.as_str()).map_err(|_| nul::found(&format!("process.args[{index}]"), Path::new(arg)))
    };
    args.iter().enumerate().map(arg).collect()
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

/// Rejects an effective capability that is not permitted: capset(2) answers just EPERM.
fn effective_is_permitted(capabilities: &LinuxCapabilities) -> Result<(), ValidateError> {
    let permitted = capabilities.permitted().clone().unwrap_or_default();
    let outside = capabilities.effective().iter().flatten().filter(|c| !permitted.contains(c));
    // The sets are hash sets: this gives the same error for the same spec.
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

fn affinity(wanted: &ExecCPUAffinity) -> Result<Affinity, ValidateError> {
    let cpus = |name: &str, list: &Option<String>| -> Result<Option<NumberSet>, ValidateError> {
        let parsed = list.as_deref().map(crate::process::affinity::parse).transpose();
        let cpus = parsed.map_err(|error| {
            invalid(format!("process.execCPUAffinity.{name}"), error.to_string(), "list CPUs of this machine")
        })?;
        Ok(cpus.filter(|cpus| !cpus.is_empty()))
    };
    Ok(Affinity {
        initial: cpus("initial", wanted.initial())?,
        last: cpus("final", wanted.cpu_affinity_final())?,
    })
}
