//! Cgroups for rootling: detect what the host and the caller allow, place a container, limit it,
//! freeze it, signal it and clean up behind it.
//!
//! One type, [`Cgroup`], over four back ends, chosen in [`Cgroup::prepare`]:
//!
//! * **none**: no writable cgroup and nothing asked for. The ordinary user's common case, so it
//!   costs one system call on cgroup v1 hosts and a handful on v2.
//! * **v2**: the unified hierarchy, written by path below the caller's delegated subtree.
//! * **v1**: one directory a controller, with the v2 tree of a hybrid host beside them.
//! * **systemd**: a transient scope over D-Bus, started only when that driver was asked for.
//!
//! The rules are those of the OCI runtime specification (config-linux.md, "Control groups") and,
//! where it is silent, runc's.
#![deny(unsafe_code)]

mod cgroup;
mod convert;
mod devices;
mod error;
mod file;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod join;
mod knob;
mod oom;
mod path;
mod procs;
mod remove;
mod request;
pub mod stats;
mod systemd;
mod v1;
mod v2;
mod wanted;

pub use cgroup::{Cgroup, own_v1_paths};
pub use error::CgroupError;
pub use oom::OomWatch;
pub use request::Request;
