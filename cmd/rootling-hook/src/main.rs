//! rootling-hook: hooks of OCI containers. `rootling spec` writes them into config.json; every OCI runtime calls them.
#![forbid(unsafe_code)]

use std::env;
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use rootling_config::generate::PublishedPort;
use rootling_network::container::Container;
use rootling_network::{Network, hook};

/// Hooks of OCI containers, to be called by a runtime with the container's state on standard input
#[derive(Debug, Parser)]
#[command(name = "rootling-hook", version)]
struct Cli {
    #[command(subcommand)]
    hook: Hook,
}

#[derive(Debug, Subcommand)]
enum Hook {
    /// Give the container a network by pasta or slirp4netns: as createRuntime and as poststop hook
    Pasta(Pasta),
    /// Stay beside the container: what `pasta` starts
    #[command(hide = true)]
    Supervise(Pasta),
}

#[derive(Debug, Args)]
struct Pasta {
    /// Let a port of the host lead into the container: [IP:]HOST:CONTAINER[/udp]
    #[arg(short, long, value_name = "PORT")]
    publish: Vec<PublishedPort>,
    /// Options of pasta(1)
    #[arg(last = true, value_name = "OPTION")]
    options: Vec<String>,
}

impl From<Pasta> for Network {
    fn from(pasta: Pasta) -> Self {
        Self { publish: pasta.publish, options: pasta.options }
    }
}

fn main() -> ExitCode {
    match Cli::parse().hook {
        Hook::Pasta(_) => {
            let container = Container::read(io::stdin().lock());
            match container.and_then(|container| hook::run(&container, &supervise())) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    eprintln!("rootling-hook: {error}");
                    ExitCode::FAILURE
                }
            }
        }
        Hook::Supervise(pasta) => {
            hook::supervise(Container::read(io::stdin().lock()), &pasta.into());
            ExitCode::SUCCESS
        }
    }
}

/// This very command line, for the supervisor.
fn supervise() -> Vec<OsString> {
    let mut arguments: Vec<OsString> = env::args_os().skip(1).collect();
    arguments[0] = "supervise".into();
    arguments
}
