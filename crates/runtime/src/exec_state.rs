//! What is stored of a container for `exec`, in a file apart from the record, which `state` and `list` read more often.

use oci_spec::runtime::{LinuxIdMapping, LinuxMemoryPolicy, Process};
use rootling_config::seccomp;
use rootling_init::blueprint::{Blueprint, MountKind};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::store::{FILTER, PROCESS, Slot};

/// Where a seccomp listener is sent.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Listener {
    pub(crate) path: PathBuf,
    pub(crate) metadata: String,
}

/// The container's process as it was adapted and validated, and what else applies to all its processes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredProcess {
    pub(crate) process: Process,
    /// See [`crate::attributes::Attributes::keep_groups`].
    pub(crate) keep_groups: bool,
    /// Nobody may change groups in its user namespace, because the map was written without privilege.
    pub(crate) groups_denied: bool,
    /// The argument of personality(2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) personality: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memory_policy: Option<LinuxMemoryPolicy>,
    /// The container has a session keyring of its own.
    pub(crate) keyring: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) filter: Option<StoredFilter>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listener: Option<Listener>,
    /// The mounts from outside the container, for `checkpoint`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) outside: Vec<Outside>,
    /// The id maps of the user namespace that was made for the container, as the caller sees them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) maps: Option<(Vec<LinuxIdMapping>, Vec<LinuxIdMapping>)>,
}

/// A mount of something that the container did not make: a bind mount, or the cgroups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outside {
    /// The destination, as config.json has it.
    pub(crate) destination: PathBuf,
    /// The source; none for the container's cgroup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<PathBuf>,
}

impl Outside {
    /// The outside mounts of a container.
    pub(crate) fn of(blueprint: &Blueprint) -> Vec<Self> {
        let devices = blueprint.devices.iter().map(|device| (device.path(), Some(device.path().clone())));
        let mounts = blueprint.mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Bind(source) => Some((&mount.destination, Some(source.clone()))),
            MountKind::CgroupV1 => Some((&mount.destination, None)),
            MountKind::New { kind, .. } if kind == "cgroup2" => Some((&mount.destination, None)),
            MountKind::New { .. } | MountKind::Remount => None,
        });
        devices
            .chain(mounts)
            .map(|(destination, source)| Self { destination: destination.clone(), source })
            .collect()
    }
}

/// How the compiled filter is to be loaded.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct StoredFilter {
    pub(crate) flags: u32,
    pub(crate) notify: bool,
}

impl Slot {
    /// Stores what `exec` needs. Called once, while the container is being made.
    pub(crate) fn write_process(
        &self,
        stored: &StoredProcess,
        filter: Option<&seccomp::Program>,
    ) -> Result<()> {
        let text = serde_json::to_vec(stored)?;
        if let Some(filter) = filter {
            self.write_file(FILTER, &filter.bpf)?;
        }
        self.write_file(PROCESS, &text)
    }

    /// Reads what [`Slot::write_process`] has stored, and the filter.
    pub(crate) fn read_process(&self) -> Result<(StoredProcess, Option<seccomp::Program>)> {
        let text = self.read_file(PROCESS)?;
        let stored: StoredProcess =
            serde_json::from_slice(&text).map_err(|e| self.damaged(&format!("{PROCESS}: {e}")))?;
        let filter = match stored.filter {
            // Without the filter, the process would be confined less than the container's own.
            Some(StoredFilter { flags, notify }) => {
                Some(seccomp::Program { bpf: self.read_file(FILTER)?, flags, notify })
            }
            None => None,
        };
        Ok((stored, filter))
    }
}
