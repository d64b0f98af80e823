//! `hook`: called by config.json at the start and at the end of a container.

use clap::{Args, ValueEnum};
use rootling_config::generate::PublishedPort;

#[derive(Debug, Args)]
pub(crate) struct Hook {
    /// Hook to run; `spec --network pasta` adds it to config.json as createRuntime and poststop hook
    pub(crate) kind: HookKind,
    /// Ports of the host that are forwarded to the container.
    #[arg(
        short,
        long,
        value_name = "PORT",
        help = "Forward a port of the host to the container: [IP:]HOST:CONTAINER[/udp]"
    )]
    pub(crate) publish: Vec<PublishedPort>,
    /// Options of pasta(1)
    #[arg(last = true, value_name = "OPTION")]
    pub(crate) options: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HookKind {
    /// Give the container a network with pasta or slirp4netns
    Pasta,
    /// Stay beside the container: what `pasta` starts
    #[value(hide = true)]
    Supervise,
}
