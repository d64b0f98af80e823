//! Checkpoint and restore by criu(8): its protocol, its options, and the mounts that it must be told about.
mod config_file;
mod mounts;
mod options;
mod progress;
mod session;

pub(crate) use config_file::set_config_file;
#[cfg(feature = "fuzzing")]
pub(crate) use mounts::mounts_of;
pub(crate) use mounts::{ext_mount, external, make_mountpoints, sources};
pub use options::{CgroupsMode, CheckpointOptions, CriuOptions, RestoreOptions};
pub(crate) use options::{directory, namespace_key};
pub(crate) use progress::Progress;
pub(crate) use session::{Notice, Session, explained};
