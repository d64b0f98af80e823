//! Inside a container in which parts of /proc are covered, the kernel refuses a new procfs in a user namespace,
//! since it would reveal what is covered. The outer procfs can be bind-mounted instead.

use oci_spec::runtime::Mount;
use rootling_config::remedies::UNCOVERED_PROC;

use super::host_pid::{BIND, drop_proc_readonly_paths};
use super::view::{destination, is_new, mounts, mounts_mut, turn_into_bind};
use crate::pass::{AdaptError, Pass};

pub(crate) fn run(pass: &mut Pass<'_>) -> Result<(), AdaptError> {
    let is_proc = |mount: &Mount| is_new(mount, "proc");
    let Some(index) = mounts(pass.spec).iter().position(is_proc) else { return Ok(()) };
    if !pass.host.proc_masked() {
        return Ok(());
    }
    let at = destination(&mounts(pass.spec)[index]);
    if pass.options.strict {
        return Err(AdaptError::ProcMasked { index, destination: at });
    }
    for mount in mounts_mut(pass.spec).iter_mut().filter(|mount| is_proc(mount)) {
        turn_into_bind(mount, "/proc", &BIND);
    }
    pass.warn(
        format!("mounts: proc on {}: replaced by a bind of the outer /proc", at.display()),
        format!(
            "parts of /proc are mounted over here, so the kernel refuses a new one; the container sees the processes \
             outside of it, their command lines and their resource use (--strict fails instead); for a proc of its own, \
             {UNCOVERED_PROC}"
        ),
    );
    drop_proc_readonly_paths(pass);
    Ok(())
}
