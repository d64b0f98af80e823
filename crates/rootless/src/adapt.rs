//! Changes a spec so that it can work for this caller on this host.
//!
//! There is one pass for each subject; they run in the order of `PASSES`. Every pass examines the spec before it
//! examines the host, and leaves alone what needs no change, so that running all of them again changes nothing.

use oci_spec::runtime::Spec;
use rootling_config::limits::kernel_memory_ignored;

pub use crate::adaptation::Adaptation;
use crate::host::Host;
use crate::pass::Pass;
pub use crate::pass::{AdaptError, Options};
use crate::passes;

type PassFn = fn(&mut Pass<'_>) -> Result<(), AdaptError>;

/// Namespaces and ids come first, since the other passes depend on them. Passes that turn mounts into bind mounts
/// come before the one that checks the flags of bind mounts.
const PASSES: &[PassFn] = &[
    passes::user_namespace::run,
    passes::mount_namespace::run,
    passes::groups::run,
    passes::host_pid::run,
    passes::host_ipc::run,
    passes::masked_proc::run,
    passes::sysfs::run,
    passes::cgroup_mounts::run,
    passes::mount_ids::run,
    passes::locked_flags::run,
    passes::sysctl::run,
    passes::oom_score::run,
    passes::resources::run,
    passes::devices::run,
];

/// Changes `spec` so that it can work for this caller, and returns what was changed and why.
///
/// For root without `CAP_SYS_ADMIN`, as in most containers, the spec is adapted as for an ordinary user. For any
/// other root outside a user namespace nothing is changed, except that a named [`Options::map_owner`] gives the
/// container a user namespace. For root inside one, the passes about ids and namespaces do nothing unless the spec
/// asks for a user namespace without maps.
///
/// # Errors
/// The spec asks for something that is not available here and must not be missing silently. The spec may already
/// have been changed in part.
pub fn adapt(spec: &mut Spec, host: &Host, options: &Options) -> Result<Vec<Adaptation>, AdaptError> {
    let resources = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    if let Some(ignored) = resources.and_then(kernel_memory_ignored).filter(|_| options.strict) {
        return Err(AdaptError::KernelMemory(ignored));
    }
    let mut pass = Pass { spec, host, options, changes: Vec::new() };
    if host.needs_user_namespace() || host.in_user_namespace() {
        for run in PASSES {
            run(&mut pass)?;
        }
    } else if options.map_owner.is_some() {
        passes::user_namespace::run(&mut pass)?;
    }
    Ok(pass.changes)
}
