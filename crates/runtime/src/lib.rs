//! Launch, lifecycle and state of containers: the only user of libcontainer.
//!
//! docs/architecture.md follows a container from the command line to execve(2).
#![deny(unsafe_code)]

mod attributes;
mod cgroup_mount;
mod child;
mod copy;
mod criu;
mod error;
mod exec;
mod foreground;
mod hooks;
mod idmap;
mod labels;
mod launch;
mod lifecycle;
mod lower;
mod members;
mod plan;
mod process;
mod rdt;
mod report;
mod scheduling;
mod self_exe;
mod state;
mod store;
mod stored;
mod sys;

pub use criu::{CgroupsMode, CheckpointOptions, CriuOptions, RestoreOptions};
pub use error::{Error, ErrorKind, Result};
pub use exec::{ExecOptions, exec};
pub use lifecycle::{
    Event, Rules, RunOptions, Sample, Warn, adapt, cgroup_manager, checkpoint, cpus, create, delete, events,
    kill, load_bundle, memory_nodes, parse_signal, pause, processes, resources, restore, resume, run, sample,
    start, stats, update,
};
pub use plan::{CreateOptions, listen_fds};
pub use process::ProcessRef;
pub use rootling_cgroup::stats::Stats;
pub use state::{Record, StateView, Status};
pub use store::{Listed, Slot, Store, check_private};

/// This moment as RFC 3339 with nanoseconds, UTC.
pub fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Nanos, true)
}
