//! A spec is changed so that it can work for this caller on this host.
//!
//! One pass for each subject, run in the order of `PASSES`. Every pass looks at the spec before
//! it looks at the host, and leaves alone what needs no change, so that running all of them again
//! changes nothing.

use std::path::PathBuf;

use oci_spec::runtime::Spec;
use rootling_config::limits::LimitError;

pub use crate::adaptation::Adaptation;
use crate::host::Host;
use crate::idmap::{IdmapError, MapOwner};
use crate::passes;

/// Who is to place the container in a cgroup, as the caller asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CgroupManager {
    /// Whatever this host delegates.
    #[default]
    Auto,
    /// Directly, below the caller's own cgroup.
    Cgroupfs,
    /// The systemd user manager.
    Systemd,
    /// Nobody: the container stays in the caller's cgroup.
    Disabled,
}

/// What the caller wants of the adaptation.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where relative sources of bind mounts start.
    pub bundle: PathBuf,
    /// Run without limits that cannot be had, with a warning, instead of failing.
    pub ignore_cgroup_limits: bool,
    /// Fail where a change would weaken what the spec asks for.
    pub strict: bool,
    /// How the container gets its cgroup.
    pub cgroup_manager: CgroupManager,
    /// Whose subordinate ids to use instead of the caller's, in a spec without its own id maps.
    pub map_owner: Option<MapOwner>,
}

/// Why a spec cannot be made to work here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdaptError {
    /// The container cannot get its ids.
    #[error(transparent)]
    Idmap(#[from] IdmapError),
    /// Only one id can be mapped, and the container uses another one.
    #[error("{field}: {id}: only the caller's own id can be mapped, as 0: {why}")]
    NeedsMoreIds {
        /// The field of the spec.
        field: &'static str,
        /// The id it wants.
        id: u32,
        /// Why there are no more ids, with the remedy.
        why: String,
    },
    /// Groups that cannot be taken on.
    #[error(
        "process.user.additionalGids: {gids:?}: setgroups is denied where an ordinary user maps only its own \
         group: map more groups, or set the annotation run.oci.keep_original_groups=1 to keep those of the caller"
    )]
    AdditionalGroups {
        /// The groups asked for.
        gids: Vec<u32>,
    },
    /// The kernel refuses a new proc, and the way round was ruled out.
    #[error(
        "mounts[{index}]: proc on {destination}: the kernel refuses a new proc, since parts of /proc are mounted \
         over here: start the outer container with --security-opt unmask=ALL (podman) or systempaths=unconfined (Docker), \
         or run without --strict to bind this one"
    )]
    ProcMasked {
        /// Position in `mounts`.
        index: usize,
        /// Where it is to be mounted.
        destination: PathBuf,
    },
    /// A bind asks for what its source's mount forbids.
    #[error(
        "mounts[{index}]: {destination}: option \"{option}\": the mount of {source_path} has {locked}, which cannot \
         be cleared in a user namespace: remove the option, or run without --strict"
    )]
    LockedFlag {
        /// Position in `mounts`.
        index: usize,
        /// Where it is to be mounted.
        destination: PathBuf,
        /// The option of the spec.
        option: String,
        /// The source of the bind.
        source_path: PathBuf,
        /// The flag that stays.
        locked: &'static str,
    },
    /// Limits that no cgroup can enforce.
    #[error("{limits}: {why}: {remedy}, or run with --ignore-cgroup-limits")]
    CgroupLimits {
        /// Each field with its value and controller.
        limits: String,
        /// What is missing.
        why: String,
        /// What to do.
        remedy: String,
    },
    /// A limit that no kernel takes, whatever is delegated.
    #[error("linux.resources.{0}")]
    ImpossibleLimit(#[from] LimitError),
    /// A device that cannot be bound from the host.
    #[error(
        "linux.devices[{index}]: {path}: {why}: an ordinary user cannot create devices, only use those of the host; {remedy}"
    )]
    Device {
        /// Position in `linux.devices`.
        index: usize,
        /// The path of the device.
        path: PathBuf,
        /// What is wrong with the host's.
        why: String,
        /// What to do.
        remedy: String,
    },
    /// A range of groups of which the kernel takes none.
    #[error(
        "linux.sysctl: net.ipv4.ping_group_range: \"{first} {last}\": both groups have to be mapped in the container: \
         map them with linux.gidMappings, or give a range within those that are"
    )]
    PingGroups {
        /// The first group of the range.
        first: u32,
        /// The last one.
        last: u32,
    },
    /// The caller's own value is not known.
    #[error(
        "process.oomScoreAdj: {value}: cannot read /proc/self/oom_score_adj to compare it: {error}: mount /proc, or remove the field"
    )]
    OomScore {
        /// The value asked for.
        value: i32,
        /// Why it could not be read.
        error: std::io::Error,
    },
}

impl AdaptError {
    /// Whether `rootling doctor` has a check for what is missing.
    pub fn has_check(&self) -> bool {
        match self {
            Self::Idmap(error) => error.has_check(),
            Self::NeedsMoreIds { .. } | Self::CgroupLimits { .. } | Self::ProcMasked { .. } => true,
            _ => false,
        }
    }
}

/// What a pass works on.
pub(crate) struct Pass<'a> {
    pub(crate) spec: &'a mut Spec,
    pub(crate) host: &'a Host,
    pub(crate) options: &'a Options,
    pub(crate) changes: Vec<Adaptation>,
}

impl Pass<'_> {
    pub(crate) fn note(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.changes.push(Adaptation::note(what, why));
    }

    pub(crate) fn warn(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.changes.push(Adaptation::warning(what, why));
    }
}

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
