//! Containers of the OCI runtime specification, made by an ordinary user or by root: the library of which `rootling` is the
//! command line.
//!
//! | call | what it does | threads of the calling process |
//! |---|---|---|
//! | [`create`] | makes a container from a bundle; it waits for its start | one |
//! | [`start`] | executes its program | any number |
//! | [`run`] | both, and waits unless it is detached | one |
//! | [`exec`] | starts another process in it | one |
//! | [`Execution::wait`] | waits for that process to end | any number |
//! | [`wait`] | waits for the container's first process to end | any number |
//! | [`state`], [`processes`], [`stats`] | what it is and what it uses | any number |
//! | [`kill`] | sends a signal to it | any number |
//! | [`pause`], [`resume`], [`update`] | freeze and thaw it, and change its limits | any number |
//! | [`delete`] | removes it | any number |
//! | [`checkpoint`] and [`restore`] | save its processes with CRIU, and make a container from them | any number; one |
//!
//! A [`Store`] is the directory in which containers are recorded, and [`Host`] is what is known about the machine and
//! the caller. It looks up each fact only once, so a long-running program should probe again. Everything else is in the
//! options. What deserves a warning, such as a limit that an ordinary user cannot set, is passed to a function that the
//! caller supplies; the library itself prints nothing. An error is one line and has a [`kind`](Error::kind);
//! [`explain`] adds what the host shows about its reason.
//!
//! # Single-threaded calls
//!
//! A container's process begins as a copy of the calling process that has only the calling thread. A lock that another
//! thread holds at that moment would stay locked in the copy. Therefore [`create`], [`run`], [`exec`] and [`restore`]
//! return an error of the kind [`ErrorKind::WrongState`] in a process with more than one thread, before anything has
//! been made. A program with threads makes its containers before it starts its first thread, or in a separate process.
//! With [`CgroupManager::Systemd`] every call talks to systemd in a thread of the D-Bus library, which keeps running:
//! such a process can make only one container.
//!
//! # Effects of a call on the calling process
//! While it makes a process, a call blocks the thread's signals. SIGINT, SIGTERM, SIGHUP and SIGQUIT then end the call
//! with [`ErrorKind::Interrupted`], and everything that it has made is undone. [`Caller`] says what else a call does.
//! Descriptors of the calling process are not passed to the container, except for the standard streams and those that
//! the call is told to preserve.
//!
//! The container's first process, and every process that [`exec`] has started, is a child of the calling process, which
//! reaps it with [`wait`] or [`Execution::wait`]. It keeps running if the calling process ends.
//!
//! # Example
//!
//! `crates/runtime/examples/embed.rs`, which docs/embedding.md explains:
//!
//! ```no_run
#![doc = include_str!("../examples/embed.rs")]
//! ```
//!
//! # Internals
//!
//! This crate is the caller's side. The child's side, and with it most uses of libcontainer, is in `rootling_init`.
//! docs/architecture.md follows a container from the command line to execve(2).
#![deny(unsafe_code)]

mod caller;
mod cgroup_mount;
mod criu;
mod error;
mod exec;
mod exec_state;
mod explain;
mod foreground;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod helper;
mod labels;
mod late_hooks;
mod launch;
mod lifecycle;
mod lower;
mod mounts;
mod owners;
mod plan;
mod process;
mod process_list;
mod process_usage;
mod rdt;
mod sd_notify;
mod self_exe;
mod state;
mod store;
mod streams;

pub use caller::Caller;
pub use criu::{CgroupsMode, CheckpointOptions, CriuOptions, RestoreOptions};
pub use error::{Error, ErrorKind, Result, one_line};
pub use exec::{ExecOptions, Execution, exec};
pub use explain::{check_kernel, explain};
pub use helper::{HelperEnd, HelperIds, HelperProcess};
pub use lifecycle::{
    Event, Rules, RunOptions, Sample, adapt, checkpoint, create, delete, events, kill, load_bundle,
    parse_signal, pause, processes, resources, restore, resume, run, sample, start, state, stats, update,
    wait,
};
pub use plan::{CreateOptions, listen_fds};
pub use process::ProcessRef;
pub use rootling_cgroup::stats::Stats;
pub use rootling_config::CgroupManager;
pub use rootling_config::id::ContainerId;
pub use rootling_init::channel::Warn;
pub use rootling_init::error::Operation;
pub use rootling_rootless::host::Host;
pub use rootling_rootless::idmap::MapOwner;
pub use self_exe::seal;
pub use state::{Record, StateView, Status, now};
pub use store::{Listed, Slot, Store};
