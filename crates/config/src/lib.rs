//! `config.json` to one typed value that breaks no rule.
//!
//! This crate knows the OCI runtime specification and nothing of the machine: it reads the file it
//! is handed, says clearly what is wrong with it, and turns names into the kernel's numbers. Facts
//! about the host are the business of `rootling-rootless`, doing things that of `rootling-runtime`.
//!
//! | module | noun of the specification |
//! |---|---|
//! | [`load`] | the bundle and its `config.json` |
//! | [`container`] | the whole of it, parsed: what is wrong whatever the host is an error |
//! | [`id`] | the container's name |
//! | [`namespaces`] | `linux.namespaces` |
//! | [`idmap`] | `linux.uidMappings`, `linux.gidMappings` |
//! | [`mounts`] | `mounts` and `linux.rootfsPropagation` |
//! | [`capabilities`] | `process.capabilities` |
//! | [`process`] | environment, limits, scheduling, personality |
//! | [`annotations`] | `annotations` that change more than a name |
//! | [`CgroupManager`] | `--cgroup-manager`: who makes the cgroup |
//! | [`cgroup_parent`] | `linux.cgroupsPath`, called after the container |
//! | [`limits`] | `linux.resources`: what is a limit |
//! | [`remedies`] | what to do about what a host lacks |
//! | [`resources`] | the rules for limits that a person types, as flags of `spec` and `update` |
//! | [`seccomp`] | `linux.seccomp` to BPF, with a cache |
//! | [`features`] | what of all that this build knows, features.md |
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
