//! `linux.intelRdt`: groups in the kernel's resctrl file system, managed through libcontainer.
//!
//! runtime-spec, config-linux.md "IntelRdt"; the kernel's Documentation/filesystems/resctrl.rst.

use std::path::{Path, PathBuf};

use libcontainer::process::intel_rdt::{
    IntelRdtError, cleanup_intel_rdt, find_resctrl_mount_point, setup_intel_rdt,
};
use nix::unistd::Pid;
use oci_spec::runtime::LinuxIntelRdt;
use serde::{Deserialize, Serialize};

use rootling_init::errors_of;

use crate::error::{Context, Error, Result, chain};

/// The groups of a container, and which of them were made for it and are removed with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Groups {
    /// The control group that its processes are in, whoever made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    joined: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    monitoring: Option<PathBuf>,
}

impl Groups {
    /// Whether the container has no groups.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Puts a process into the group that its spec asks for, making the group if it is to be the container's own.
    pub(crate) fn set_up(wanted: &LinuxIntelRdt, id: &str, pid: i32) -> Result<Self> {
        // Look for the mount before anything is made.
        let mount = find_resctrl_mount_point().map_err(|error| explain(&error))?;
        let joined = Some(mount.join(wanted.clos_id().as_deref().unwrap_or(id)));
        // libcontainer logs what it also returns as an error; once is enough.
        let (result, _) = errors_of(|| setup_intel_rdt(Some(id), &Pid::from_raw(pid), wanted));
        let (control, monitoring) = result.map_err(|error| {
            if wanted.clos_id().is_none() {
                // It may have failed after the group was made.
                let _ = errors_of(|| cleanup_intel_rdt(None, None, Some(true), id));
            }
            explain(&error)
        })?;
        Ok(Self { joined, control, monitoring })
    }

    /// Puts a process that joins the container into its groups, as far as they still exist.
    pub(crate) fn join(&self, pid: i32) -> Result<()> {
        // Joining a control group also changes the monitoring group, so the control group comes first.
        for group in [&self.joined, &self.monitoring].into_iter().flatten() {
            join_group(group, pid)?;
        }
        Ok(())
    }

    /// Removes the groups that were made for the container.
    pub(crate) fn remove(&self, id: &str) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        cleanup_intel_rdt(self.control.as_deref(), self.monitoring.as_deref(), None, id)
            .map_err(|e| Error::system(chain(&e)).wrap("linux.intelRdt"))
    }
}

fn join_group(group: &Path, pid: i32) -> Result<()> {
    let tasks = group.join("tasks");
    match std::fs::write(&tasks, pid.to_string()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result.context(|| format!("linux.intelRdt: write {}", tasks.display())),
    }
}

fn explain(error: &IntelRdtError) -> Error {
    let remedy = match error {
        IntelRdtError::ResctrlMountPointNotFound => {
            "mount it with `mount -t resctrl resctrl /sys/fs/resctrl`, which needs a CPU with resource control (see \
             rdt_a, cat_l3 and mba in /proc/cpuinfo); or remove the object"
        }
        IntelRdtError::NoClosIDDirectory => {
            "linux.intelRdt.closID without a schema names a group that is there already: make it below the resctrl \
             mount, or add l3CacheSchema, memBwSchema or schemata"
        }
        IntelRdtError::ExistingSchemataMismatch => {
            "the group of linux.intelRdt.closID already exists with another schema: give the same, or another closID"
        }
        IntelRdtError::WriteSchemata(_) | IntelRdtError::ParseLine(_) => {
            "see info/last_cmd_status below the resctrl mount for the kernel's message about the schema"
        }
        _ => {
            "the caller may not change resctrl groups; see the owner and mode of its mount, /sys/fs/resctrl as a rule"
        }
    };
    Error::system(chain(error)).wrap("linux.intelRdt").remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::Groups;

    /// Only a machine with such a processor has resctrl, so directories stand in for its groups.
    #[test]
    fn a_process_joins_the_groups_that_are_there() {
        let dir = tempfile::tempdir().unwrap();
        let (control, monitoring) = (dir.path().join("c"), dir.path().join("c/mon_groups/m"));
        std::fs::create_dir_all(&monitoring).unwrap();
        for group in [&control, &monitoring] {
            std::fs::write(group.join("tasks"), "").unwrap();
        }
        let groups =
            Groups { joined: Some(control.clone()), control: None, monitoring: Some(monitoring.clone()) };
        groups.join(4711).unwrap();
        for group in [&control, &monitoring] {
            assert_eq!(std::fs::read_to_string(group.join("tasks")).unwrap(), "4711");
        }

        std::fs::remove_dir_all(&monitoring).unwrap();
        groups.join(4711).unwrap();
        assert!(!monitoring.exists());
        Groups::default().join(4711).unwrap();
    }
}
