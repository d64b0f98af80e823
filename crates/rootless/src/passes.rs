//! The passes, one for each subject. See [`crate::adapt`].

// Every pass has the same signature, even one that never fails.
#![allow(clippy::unnecessary_wraps)]

pub(crate) mod cgroup_mounts;
pub(crate) mod devices;
pub(crate) mod groups;
pub(crate) mod host_ipc;
pub(crate) mod host_pid;
pub(crate) mod locked_flags;
pub(crate) mod masked_proc;
pub(crate) mod mount_ids;
pub(crate) mod mount_namespace;
pub(crate) mod oom_score;
pub(crate) mod resources;
pub(crate) mod sysctl;
pub(crate) mod sysfs;
pub(crate) mod user_namespace;

mod view;

#[cfg(test)]
mod tests;
