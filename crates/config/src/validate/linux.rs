//! The rest of `linux`.

use oci_spec::runtime::{LinuxIntelRdt, LinuxSchedulerPolicy, Spec};

use crate::error::{ValidateError, invalid};
use crate::limits::{self, Limits};
use crate::process::{memory_policy, personality};
use crate::seccomp;

pub(super) fn check(spec: &Spec) -> Result<(), ValidateError> {
    let Some(linux) = spec.linux() else { return Ok(()) };
    if let Some(rdt) = linux.intel_rdt() {
        intel_rdt(rdt)?;
    }
    if let Some(policy) = linux.memory_policy() {
        memory_policy::resolve(policy)?;
    }
    if let Some(wanted) = linux.personality() {
        personality::value(wanted)?;
    }
    if let Some(profile) = linux.seccomp() {
        seccomp::check(profile)?;
    }
    if let Some(resources) = linux.resources() {
        Limits::parse(resources)?;
    }
    deadline(spec)
}

/// The kernel admits a deadline only on all CPUs of a root domain: sched(7), "SCHED_DEADLINE".
fn deadline(spec: &Spec) -> Result<(), ValidateError> {
    let scheduler = spec.process().as_ref().and_then(|process| process.scheduler().as_ref());
    let deadline = scheduler.is_some_and(|s| *s.policy() == LinuxSchedulerPolicy::SchedDeadline);
    let resources = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    let cpus = resources.and_then(|resources| resources.cpu().as_ref()).and_then(|cpu| cpu.cpus().as_deref());
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
