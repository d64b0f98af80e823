//! A separate network for a container that an ordinary user runs: passt's pasta, or slirp4netns, in the container's
//! network namespace.
//!
//! It is a hook of the container, so that it works the same with every OCI runtime (runtime-spec, config.md
//! "POSIX-platform Hooks"). As a createRuntime hook it starts the program; as a poststop hook it waits until the
//! program is gone and the ports are released. In between, a supervisor watches the container's first process and
//! the program, and ends the program when the container has ended for any reason.
//!
//! | module | contents |
//! |---|---|
//! | [`container`] | what the runtime says about the container on the hook's standard input |
//! | [`hook`] | the hook itself |
//! | `supervisor` | the process that stays |
//! | `pasta`, `slirp` | how each program is started |
#![forbid(unsafe_code)]

pub mod container;
mod error;
pub mod hook;
mod pasta;
mod slirp;
mod supervisor;

pub use error::{Error, Result};

use rootling_config::generate::PublishedPort;

/// The network that the container is to get.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Ports of the host that are forwarded to it.
    pub publish: Vec<PublishedPort>,
    /// Options for pasta(1), as the user has written them.
    pub options: Vec<String>,
}
