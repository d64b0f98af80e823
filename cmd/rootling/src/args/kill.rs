//! `kill`.

use clap::Args;

#[derive(Debug, Args)]
#[command(override_usage = "rootling kill [OPTIONS] <CONTAINER-ID>... [SIGNAL]")]
pub(crate) struct Kill {
    // A single list: only the existing containers tell which words are ids and which is a signal.
    /// Ids of the containers, then optionally the name or number of a signal [default: SIGTERM]
    #[arg(value_name = "CONTAINER-ID", required = true)]
    pub(crate) words: Vec<String>,
    /// Send the signal to all processes of the container
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Send the signal to all containers whose id matches the regular expression CONTAINER-ID
    #[arg(short, long)]
    pub(crate) regex: bool,
}
