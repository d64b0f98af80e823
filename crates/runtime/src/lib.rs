//! Containers of the OCI runtime specification, made by an ordinary user or by root: the library of which `rootling` is the
//! command line.
//!
//! | call | what it does | threads of the calling process |
//! |---|---|---|
//! | [`create`] | makes a container from a bundle; it waits for its start | one |
//! | [`start`] | executes its program | any number |
//! | [`run`] | both, and waits unless it is detached | one |
//! | [`exec`] | starts another process in it | one |
//! | [`Execution::wait`] | waits for that process | any number |
//! | [`wait`] | waits for the end of the container's first process | any number |
//! | [`state`], [`processes`], [`stats`] | what it is and what it uses | any number |
//! | [`kill`] | sends a signal to it | any number |
//! | [`pause`], [`resume`], [`update`] | freeze it, and change its limits | any number |
//! | [`delete`] | removes it | any number |
//! | [`checkpoint`] and [`restore`] | save its processes with CRIU, and make a container of them | any number; one |
//!
//! A [`Store`] is the directory that the containers are known by, and [`Host`] what is known of the machine and the caller; it
//! looks each fact up once, so a program that runs for long probes anew. Everything else is in the options. What is worth a
//! warning, such as a limit that an ordinary user cannot set, goes to a function of the caller's, and the library prints nothing
//! itself. Errors are one line with a [`kind`](Error::kind); [`explain`] adds what a host shows of the reason.
//!
//! # What is single-threaded
//!
//! A container's process begins as a copy of the calling process, of which the copy has the calling thread alone. A lock that
//! another thread holds at that moment would stay locked in it. Therefore [`create`], [`run`], [`exec`] and [`restore`] return an
//! error of the kind [`ErrorKind::WrongState`] in a process with more than one thread, before anything has been made. A program
//! with threads makes containers before it starts its first thread, or in a process of its own for that. With
//! [`CgroupManager::Systemd`] every call talks to systemd in a thread of the D-Bus library, which
//! stays: such a process can make one container.
//!
//! # What a call does to the calling process
//!
//! While it makes a process, a call blocks the thread's signals; SIGINT, SIGTERM, SIGHUP and SIGQUIT then end the call with
//! [`ErrorKind::Interrupted`], and everything that it has made is undone. [`Caller`] says what else it does. Descriptors of the
//! calling process do not get into the container, save the standard streams and those that it is told to preserve.
//!
//! The container's first process, and one that [`exec`] has started, are children of the calling process, which reaps them by
//! [`wait`] or [`Execution::wait`]. They go on if it ends.
//!
//! # Example
//!
//! `crates/runtime/examples/embed.rs`; docs/embedding.md explains it:
//!
//! ```no_run
#![doc = include_str!("../examples/embed.rs")]
//! ```
//!
//! # Inside
//!
//! This crate is the caller's side; the child's, and with it most of libcontainer's use, is `rootling_init`.
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
pub use explain::explain;
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
pub use rootling_rootless::host::Host;
pub use self_exe::seal;
pub use state::{Record, StateView, Status, now};
pub use store::{Listed, Slot, Store};
