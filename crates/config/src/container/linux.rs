//! The other fields of `linux`.

use oci_spec::runtime::{Linux, LinuxIntelRdt, LinuxSchedulerPolicy, Spec};

use super::Process;
use crate::error::{ValidateError, invalid};
use crate::limits::{self, Limits};
use crate::process::memory_policy::{self, MemoryPolicy};
use crate::process::personality;
use crate::seccomp;

/// Fields that are converted to another form.
#[derive(Default)]
pub(super) struct Parsed {
    pub(super) memory_policy: Option<MemoryPolicy>,
    pub(super) personality: Option<u32>,
    pub(super) limits: Limits,
}

pub(super) fn parse(spec: &Spec, process: Option<&Process>) -> Result<Parsed, ValidateError> {
    let Some(linux) = spec.linux() else { return Ok(Parsed::default()) };
    if let Some(rdt) = linux.intel_rdt() {
        intel_rdt(rdt)?;
    }
    let memory_policy = linux.memory_policy().as_ref().map(memory_policy::resolve).transpose()?;
    let personality = linux.personality().as_ref().map(personality::value).transpose()?;
    if let Some(profile) = linux.seccomp() {
        seccomp::check(profile)?;
    }
    let limits = linux.resources().as_ref().map(Limits::parse).transpose()?.unwrap_or_default();
    deadline(linux, process)?;
    Ok(Parsed { memory_policy, personality, limits })
}

/// The kernel allows SCHED_DEADLINE only on all CPUs of a root domain: sched(7), "SCHED_DEADLINE".
fn deadline(linux: &Linux, process: Option<&Process>) -> Result<(), ValidateError> {
    let scheduler = process.and_then(|process| process.written.scheduler().as_ref());
    let deadline = scheduler.is_some_and(|s| *s.policy() == LinuxSchedulerPolicy::SchedDeadline);
    let cpu = linux.resources().as_ref().and_then(|resources| resources.cpu().as_ref());
    let cpus = cpu.and_then(|cpu| cpu.cpus().as_deref());
    if deadline && cpus.is_some_and(|cpus| !cpus.is_empty()) {
        let problem = "process scheduler can't be used together with AllowedCPUs";
        let remedy = "remove linux.resources.cpu.cpus, or use another policy than SCHED_DEADLINE";
        return Err(invalid("process.scheduler", problem, remedy));
    }
    Ok(())
}

/// A class of service is one directory below /sys/fs/resctrl, or that directory itself.
fn intel_rdt(rdt: &LinuxIntelRdt) -> Result<(), ValidateError> {
    match rdt.clos_id().as_deref() {
        Some(id) if id == "." || id == ".." || (id.len() > 1 && id.contains('/')) || id.contains('\0') => {
            let problem = format!("invalid intelRdt.ClosID {id:?}");
            Err(invalid("linux.intelRdt.closID", problem, "use the name of one directory"))
        }
        _ => Ok(()),
    }
}

pub(super) fn warn(spec: &Spec, warnings: &mut Vec<String>) {
    let resources = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    warnings.extend(resources.and_then(limits::kernel_memory_ignored));
}
