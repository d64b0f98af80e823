//! Turns `config.json` into one typed value that breaks no rule.
//!
//! This crate knows the OCI runtime specification and nothing about the machine: it reads the file that it is given,
//! reports clearly what is wrong with it, and turns names into the kernel's numbers. Facts about the host are the
//! task of `rootling-rootless`, and actions that of `rootling-runtime`.
//!
//! | module | subject |
//! |---|---|
//! | [`load`] | the bundle and its `config.json` |
//! | [`container`] | the whole of it, parsed: what is wrong on any host is an error |
//! | [`id`] | the container's name |
//! | [`namespaces`] | `linux.namespaces` |
//! | [`idmap`] | `linux.uidMappings`, `linux.gidMappings` |
//! | [`mounts`] | `mounts` and `linux.rootfsPropagation` |
//! | [`capabilities`] | `process.capabilities` |
//! | [`process`] | environment, limits, scheduling, personality |
//! | [`annotations`] | `annotations` that change more than a container's name |
//! | [`CgroupManager`] | `--cgroup-manager`: who makes the cgroup |
//! | [`cgroup_parent`] | `linux.cgroupsPath`, named after the container |
//! | [`limits`] | `linux.resources`: what counts as a limit |
//! | [`remedies`] | what to do about what a host lacks |
//! | [`resources`] | the rules for limits that a user types, as flags of `spec` and `update` |
//! | [`seccomp`] | `linux.seccomp` to BPF, with a cache |
//! | [`features`] | what this build supports of all that, features.md |
//! | [`generate`] | the specs that `rootling spec` writes |
#![forbid(unsafe_code)]

pub mod annotations;
pub mod capabilities;
mod cgroup_manager;
pub mod cgroup_parent;
pub mod container;
mod error;
pub mod features;
pub mod generate;
pub mod id;
pub mod idmap;
pub mod limits;
pub mod load;
pub mod mounts;
pub mod namespaces;
pub mod process;
pub mod remedies;
pub mod resources;
pub mod seccomp;

pub use cgroup_manager::{CgroupManager, UnknownManager};
