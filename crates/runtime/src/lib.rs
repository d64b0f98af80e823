//! Launch, lifecycle and state of containers: the caller's side.
//!
//! The child's side, and with it most of libcontainer's use, is `rootling_init`. docs/architecture.md follows a
//! container from the command line to execve(2).
#![deny(unsafe_code)]

mod cgroup_mount;
mod criu;
mod error;
mod exec;
mod exec_state;
mod explain;
mod foreground;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod labels;
mod late_hooks;
mod launch;
mod lifecycle;
mod lower;
mod owners;
mod plan;
mod process;
mod process_list;
mod rdt;
mod sd_notify;
mod self_exe;
mod state;
mod store;

pub use criu::{CgroupsMode, CheckpointOptions, CriuOptions, RestoreOptions};
pub use error::{Error, ErrorKind, Result, one_line};
pub use exec::{ExecOptions, exec};
pub use explain::explain;
pub use lifecycle::{
    Event, Rules, RunOptions, Sample, adapt, checkpoint, create, delete, events, kill, load_bundle,
    parse_signal, pause, processes, resources, restore, resume, run, sample, start, stats, update,
};
pub use plan::{CreateOptions, listen_fds};
pub use process::ProcessRef;
pub use rootling_cgroup::stats::Stats;
pub use rootling_init::channel::Warn;
pub use state::{Record, StateView, Status, now};
pub use store::{Listed, Slot, Store};
