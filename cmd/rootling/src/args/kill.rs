//! `kill`.

use clap::Args;

use super::Id;

#[derive(Debug, Args)]
pub(crate) struct Kill {
    #[command(flatten)]
    pub(crate) id: Id,
    /// Signal, by name or number
    #[arg(value_name = "SIGNAL", default_value = "SIGTERM")]
    pub(crate) signal: String,
    /// Send the signal to all processes of the container
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Send the signal to all containers whose id matches the regular expression CONTAINER-ID
    #[arg(short, long)]
    pub(crate) regex: bool,
}
