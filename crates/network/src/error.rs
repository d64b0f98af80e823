//! Why a container does not get a network.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rootling_rootless::host::OLDEST_PASTA;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a container does not get a network: one line that says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The runtime did not say which container it is.
    #[error("standard input is not the state of a container: {0}; this is a hook, which a runtime calls")]
    NoState(String),
    /// There is no process whose network could be set up.
    #[error("container {0:?} has no process; as a createRuntime hook it is called while one waits")]
    NoProcess(String),
    /// The hook would set up the caller's own network.
    #[error("container {0:?} has the network of the host; add a network namespace to linux.namespaces")]
    HostsNetwork(String),
    /// The runtime has made the container's process not dumpable: PR_SET_DUMPABLE, prctl(2).
    #[error("{}: permission denied, {CLOSED}", path.display())]
    Closed {
        /// The namespace.
        path: PathBuf,
    },
    /// Neither program is installed.
    #[error(
        "neither pasta nor slirp4netns is in PATH{old}; install the package passt (pasta of {OLDEST_PASTA} or newer), \
         or slirp4netns"
    )]
    NoProgram {
        /// Describes a pasta that is too old, if there is one.
        old: String,
    },
    /// Options for pasta were given, but there is only slirp4netns.
    #[error(
        "{options:?}: these are options of pasta, and there is only slirp4netns{old}; install pasta of {OLDEST_PASTA} or newer, or leave them out"
    )]
    OptionsOfPasta {
        /// The options.
        options: Vec<String>,
        /// Describes a pasta that is too old, if there is one.
        old: String,
    },
    /// The program has reported an error.
    #[error("{program} does not start: {said}{}", after_semicolon(remedy))]
    Failed {
        /// The name of the program.
        program: &'static str,
        /// Its last message, in one line.
        said: String,
        /// What to do; empty if nothing is known.
        remedy: &'static str,
    },
    /// The program takes too long.
    #[error("{program} is not ready after {} s; see whether the host's network works", limit.as_secs())]
    Late {
        /// The name of the program.
        program: &'static str,
        /// The time that it had.
        limit: Duration,
    },
    /// The supervisor has reported an error.
    #[error("{0}")]
    Said(String),
    /// The poststop hook has waited in vain.
    #[error("the network of container {id:?} has not ended after {} s; its ports may still be in use", limit.as_secs())]
    Stays {
        /// The id of the container.
        id: String,
        /// The time that the hook has waited.
        limit: Duration,
    },
    /// The host has refused something.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// The error of the host.
        error: io::Error,
    },
}

/// The remedy if a namespace of the container cannot be opened.
pub(crate) const CLOSED: &str = "since the runtime keeps its waiting process from its owner, as crun does: run the bundle with \
     rootling or runc, or as root";

fn after_semicolon(remedy: &str) -> String {
    if remedy.is_empty() { String::new() } else { format!("; {remedy}") }
}

/// Adds what was tried when the host refuses it.
pub(crate) trait Context<T> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::System { what: what(), error: error.into() })
    }
}
