//! What is stored of a container between two invocations of the runtime, and what is shown of it.

use std::collections::HashMap;
use std::path::PathBuf;

use crc::{CRC_32_ISO_HDLC, Crc};
use oci_spec::runtime::{Hooks, LinuxResources};
use rootling_cgroup::Cgroup;
use rootling_config::id::ContainerId;
use rootling_init::blueprint::Identity;
use serde::{Deserialize, Serialize};

use crate::process::ProcessRef;
use crate::rdt::Groups;

/// The status of a container; runtime-spec, runtime.md "State".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is being made by a runtime that is still running.
    Creating,
    /// It is prepared; its program has not been executed.
    Created,
    /// Its program runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Its first process has ended.
    Stopped,
}

impl Status {
    /// The specification's word for the status.
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl Record {
    /// What hooks and agents are told about the container. The id was valid when it was recorded.
    pub(crate) fn identity(&self) -> crate::error::Result<Identity> {
        let id = ContainerId::parse(&self.id)
            .map_err(|e| crate::error::Error::system(crate::error::chain(&e)).wrap("state.json: id"))?;
        Ok(Identity {
            id,
            bundle: self.bundle.clone(),
            oci_version: self.oci_version.clone(),
            annotations: self.annotations.clone(),
        })
    }
}

/// Returns the current time in RFC 3339 format with nanoseconds, in UTC.
pub fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Nanos, true)
}

/// The record of a container, `state.json` in its state directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// `ociVersion` of its config.json.
    pub oci_version: String,
    /// Its id.
    pub id: String,
    /// Absolute path of its bundle.
    pub bundle: PathBuf,
    /// Absolute path of its root file system.
    pub rootfs: PathBuf,
    /// RFC 3339 with nanoseconds, UTC.
    pub created: String,
    /// Annotations of its config.json.
    #[serde(default, skip_serializing_if = "HashMap::is_empty")]
    pub annotations: HashMap<String, String>,
    /// Its first process; `None` until that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<ProcessRef>,
    /// Its cgroup.
    pub cgroup: Cgroup,
    /// Its resctrl groups.
    #[serde(default, skip_serializing_if = "Groups::is_empty")]
    pub(crate) rdt: Groups,
    /// The limits that are set, without device rules; `update` completes new limits from them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<LinuxResources>,
    /// Whether it has a pid namespace of its own, so that all its processes end with the first.
    pub own_pid_namespace: bool,
    /// Whether it has a mount namespace of its own, by which processes that joined it are found if it has no pid
    /// namespace.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) own_mount_namespace: bool,
    /// Whether its config.json has no `process`, so that there is nothing to start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) no_process: bool,
    /// Hooks that are still to run after the creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
    /// Whether the file exists that is the last to be written when a container is made.
    #[serde(skip)]
    pub(crate) is_whole: bool,
}

/// What is needed to end a container. It is stored a second time, apart from the record, so that one damaged file does
/// not lose track of what is running.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Recovery {
    /// See [`Record::init`].
    pub(crate) init: ProcessRef,
    /// See [`Record::cgroup`].
    pub(crate) cgroup: Cgroup,
    /// See [`Record::rdt`].
    #[serde(default, skip_serializing_if = "Groups::is_empty")]
    pub(crate) rdt: Groups,
    /// See [`Record::own_pid_namespace`].
    pub(crate) own_pid_namespace: bool,
    /// See [`Record::own_mount_namespace`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) own_mount_namespace: bool,
}

/// Computed with a table: a faster crate would first query the processor's features, which takes longer in a virtual
/// machine.
static CRC_32: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

impl Recovery {
    /// The serialized form, preceded by its CRC-32, so that a reader can tell that it reads what was written.
    pub(crate) fn to_bytes(&self) -> serde_json::Result<Vec<u8>> {
        let text = serde_json::to_string(self)?;
        Ok(format!("{:08x} {text}", CRC_32.checksum(text.as_bytes())).into_bytes())
    }

    /// `None` unless every byte is as it was written.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (sum, text) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
        let whole = sum.len() == 8 && u32::from_str_radix(sum, 16).ok()? == CRC_32.checksum(text.as_bytes());
        if whole { serde_json::from_str(text).ok() } else { None }
    }

    /// Makes a record that suffices to remove the container.
    pub(crate) fn into_record(self, id: &ContainerId) -> Record {
        Record {
            oci_version: String::new(),
            id: id.to_string(),
            bundle: PathBuf::new(),
            rootfs: PathBuf::new(),
            created: String::new(),
            annotations: HashMap::new(),
            init: Some(self.init),
            cgroup: self.cgroup,
            rdt: self.rdt,
            resources: None,
            own_pid_namespace: self.own_pid_namespace,
            own_mount_namespace: self.own_mount_namespace,
            no_process: false,
            hooks: None,
            is_whole: true,
        }
    }
}

/// What `state` prints; the fields and their order are those of runc.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StateView {
    /// `ociVersion` of its config.json.
    pub oci_version: String,
    /// Its id.
    pub id: String,
    /// Pid of its first process; 0 if that has ended.
    pub pid: i32,
    /// Its status.
    pub status: Status,
    /// Absolute path of its bundle.
    pub bundle: PathBuf,
    /// Absolute path of its root file system.
    pub rootfs: PathBuf,
    /// RFC 3339 with nanoseconds, UTC.
    pub created: String,
    /// Annotations of its config.json.
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    pub annotations: HashMap<String, String>,
    /// Name of the user who owns the state directory; only `list` fills it in.
    pub owner: String,
}

impl Record {
    /// What is stored apart from the record; `None` while there is no first process.
    pub(crate) fn recovery(&self) -> Option<Recovery> {
        Some(Recovery {
            init: self.init?,
            cgroup: self.cgroup.clone(),
            rdt: self.rdt.clone(),
            own_pid_namespace: self.own_pid_namespace,
            own_mount_namespace: self.own_mount_namespace,
        })
    }

    /// Takes over what is stored apart from the record.
    pub(crate) fn recover(&mut self, recovery: Recovery) {
        let Recovery { init, cgroup, rdt, own_pid_namespace, own_mount_namespace } = recovery;
        (self.init, self.cgroup, self.rdt) = (Some(init), cgroup, rdt);
        (self.own_pid_namespace, self.own_mount_namespace) = (own_pid_namespace, own_mount_namespace);
        self.is_whole = true;
    }

    /// What `state` shows for a container with this status.
    pub fn view(&self, status: Status) -> StateView {
        let pid = if status == Status::Stopped { 0 } else { self.init.map_or(0, |p| p.pid) };
        StateView {
            oci_version: self.oci_version.clone(),
            id: self.id.clone(),
            pid,
            status,
            bundle: self.bundle.clone(),
            rootfs: self.rootfs.clone(),
            created: self.created.clone(),
            annotations: self.annotations.clone(),
            owner: String::new(),
        }
    }
}
