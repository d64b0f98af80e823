//! The input of a pass, and its errors.

use std::path::PathBuf;

use oci_spec::runtime::Spec;
use rootling_config::CgroupManager;
use rootling_config::limits::LimitError;
use rootling_config::remedies::UNCOVERED_PROC;

use crate::adaptation::Adaptation;
use crate::host::Host;
use crate::idmap::{IdmapError, MapOwner};

/// Options of the adaptation.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The directory that relative sources of bind mounts start from.
    pub bundle: PathBuf,
    /// Run without limits that cannot be set, with a warning, instead of failing.
    pub ignore_cgroup_limits: bool,
    /// Fail if a change would weaken what the spec asks for.
    pub strict: bool,
    /// How the container gets its cgroup.
    pub cgroup_manager: CgroupManager,
    /// Whose subordinate ids to use instead of the caller's, if the spec has no id maps of its own.
    pub map_owner: Option<MapOwner>,
}

/// What becomes of device rules without privilege over the host.
pub(crate) const DEVICES_STAY_OPEN: &str =
    "device rules take rights over the host; devices in the container are as open as they are to the caller";

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
        /// The id that it asks for.
        id: u32,
        /// Why there are no more ids, with the remedy.
        why: String,
    },
    /// Supplementary groups that cannot be set.
    #[error(
        "process.user.additionalGids: {gids:?}: setgroups is denied where an ordinary user maps only its own \
         group: map more groups, or set the annotation run.oci.keep_original_groups=1 to keep those of the caller"
    )]
    AdditionalGroups {
        /// The groups asked for.
        gids: Vec<u32>,
    },
    /// The kernel refuses a new procfs, and the workaround was ruled out.
    #[error(
        "mounts[{index}]: proc on {destination}: the kernel refuses a new proc, since parts of /proc are mounted \
         over here: {UNCOVERED_PROC}, or run without --strict to bind this one"
    )]
    ProcMasked {
        /// Position in `mounts`.
        index: usize,
        /// Its mount point.
        destination: PathBuf,
    },
    /// A bind mount asks for what the mount of its source forbids.
    #[error(
        "mounts[{index}]: {destination}: option \"{option}\": the mount of {source_path} has {locked}, which cannot \
         be cleared in a user namespace: remove the option, or run without --strict"
    )]
    LockedFlag {
        /// Position in `mounts`.
        index: usize,
        /// Its mount point.
        destination: PathBuf,
        /// The option of the spec.
        option: String,
        /// The source of the bind mount.
        source_path: PathBuf,
        /// The flag that cannot be cleared.
        locked: &'static str,
    },
    /// Limits that no available cgroup can enforce.
    #[error("{limits}: {why}: {remedy}, or run with --ignore-cgroup-limits")]
    CgroupLimits {
        /// Each field with its value and controller.
        limits: String,
        /// What is missing.
        why: String,
        /// What to do.
        remedy: String,
    },
    /// Devices that are to be denied although nobody can deny any here.
    #[error(
        "linux.resources.devices: {DEVICES_STAY_OPEN}: remove the rules that deny devices, or run without --strict"
    )]
    DeviceRules,
    /// Limits of kernel memory, which no supported kernel has.
    #[error("{0}: remove the fields, or run without --strict")]
    KernelMemory(String),
    /// A limit that no kernel accepts, whatever is delegated.
    #[error("linux.resources.{0}")]
    ImpossibleLimit(#[from] LimitError),
    /// A device that cannot be bind-mounted from the host.
    #[error(
        "linux.devices[{index}]: {path}: {why}: an ordinary user cannot create devices, only use those of the host; {remedy}"
    )]
    Device {
        /// Position in `linux.devices`.
        index: usize,
        /// The path of the device.
        path: PathBuf,
        /// What is wrong with the host's device.
        why: String,
        /// What to do.
        remedy: String,
    },
    /// A range of groups that the kernel refuses.
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
    /// The caller's own value cannot be determined.
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
