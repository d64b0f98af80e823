//! A spec is changed so that it can work for this caller on this host.
//!
//! One pass for each subject, run in the order of `PASSES`. Every pass looks at the spec before
//! it looks at the host, and leaves alone what needs no change, so that running all of them again
//! changes nothing.

use oci_spec::runtime::Spec;
use rootling_config::limits::kernel_memory_ignored;

pub use crate::adaptation::Adaptation;
use crate::host::Host;
use crate::pass::Pass;
pub use crate::pass::{AdaptError, Options};
use crate::passes;

type PassFn = fn(&mut Pass<'_>) -> Result<(), AdaptError>;

/// Namespaces and ids come first, since the others ask which there are. Passes that turn mounts
/// into binds come before the one that looks at the flags of binds.
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

/// Changes `spec` so that it can work for this caller, and says what was changed and why.
///
/// Root without `CAP_SYS_ADMIN`, as in most containers, is adapted to as an ordinary user is.
/// Nothing is changed for other root outside of a user namespace, save that a named
/// [`Options::map_owner`] gives the container a user namespace. For root inside one, the passes
/// about ids and namespaces do nothing unless the spec asks for a user namespace without maps.
///
/// # Errors
/// When the spec asks for something that cannot be had here and must not silently be missing. The
/// spec may have been changed in part by then.
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
