//! Cgroups for rootling: detects what the host and the caller permit, places a container, limits it, freezes it,
//! signals it and cleans up after it.
//!
//! One type, [`Cgroup`], covers four back ends, one of which is chosen in [`Cgroup::prepare`]:
//!
//! * **none**: there is no writable cgroup and nothing was asked for. This is the common case for an ordinary
//!   user, so it costs one system call on cgroup v1 hosts and a handful on v2.
//! * **v2**: the unified hierarchy, written by path below the caller's delegated subtree.
//! * **v1**: one directory for each controller, with the v2 tree of a hybrid host besides.
//! * **systemd**: a transient scope, made over D-Bus and only if that driver was asked for.
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

pub use cgroup::{Cgroup, MOUNT, is_unified, own_v1_paths};
pub use error::CgroupError;
pub use oom::OomWatch;
pub use request::Request;
