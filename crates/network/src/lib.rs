//! A network of its own for a container that an ordinary user runs: passt's pasta, or slirp4netns, in the container's
//! network namespace.
//!
//! It is a hook of the container, so that it works the same with every OCI runtime (runtime-spec, config.md
//! "POSIX-platform Hooks"): as createRuntime hook it starts the program, as poststop hook it waits until all of it has
//! gone, and the ports with it. In between a supervisor watches the container's first process and the program, and ends
//! the program when the container has ended, however that came about.
//!
//! | module | |
//! |---|---|
//! | [`container`] | what the runtime says of the container on the hook's standard input |
//! | [`hook`] | the hook itself |
//! | `supervisor` | what stays |
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

/// What the container's network is to be.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Ports of the host that lead into it.
    pub publish: Vec<PublishedPort>,
    /// Options of pasta(1), as the user has written them.
    pub options: Vec<String>,
}
