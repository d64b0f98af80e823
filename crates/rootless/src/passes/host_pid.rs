//! A procfs of the host's pid namespace can only be bind-mounted: mounting one requires privilege over that
//! namespace; `pid_namespaces`(7).

use oci_spec::runtime::LinuxNamespaceType;

use super::view::{destination, drop_readonly_paths, is_new, is_shared, mounts, mounts_mut, turn_into_bind};
use crate::adaptation::Adaptation;
use crate::pass::{AdaptError, Pass};

pub(super) const BIND: [&str; 4] = ["rbind", "nosuid", "noexec", "nodev"];

pub(crate) fn run(pass: &mut Pass<'_>) -> Result<(), AdaptError> {
    let is_proc = |mount: &oci_spec::runtime::Mount| is_new(mount, "proc");
    // Checked first because it is cheap, while joined namespaces have to be examined.
    if !mounts(pass.spec).iter().any(is_proc) || !is_shared(pass.spec, pass.host, LinuxNamespaceType::Pid) {
        return Ok(());
    }
    let why = "the container shares the host's pid namespace, over which the caller has no rights";
    for mount in mounts_mut(pass.spec).iter_mut().filter(|mount| is_proc(mount)) {
        let at = destination(mount);
        turn_into_bind(mount, "/proc", &BIND);
        pass.changes.push(Adaptation::note(
            format!("mounts: proc on {}: replaced by a bind of the host's /proc", at.display()),
            why,
        ));
    }
    drop_proc_readonly_paths(pass);
    Ok(())
}

/// In a nested container, paths below the bind-mounted /proc may be covered by locked mounts, which cannot be
/// remounted. The container cannot write to the host's files anyway, since its root has no privilege over them.
pub(super) fn drop_proc_readonly_paths(pass: &mut Pass<'_>) {
    let gone = drop_readonly_paths(pass.spec, "/proc");
    if !gone.is_empty() {
        pass.note(
            format!("linux.readonlyPaths: dropped {}", gone.join(", ")),
            "they are the host's now: its mounts there may be locked, and its files are closed to the caller anyway",
        );
    }
}
