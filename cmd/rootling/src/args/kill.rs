//! `kill`.

use clap::Args;

use super::Id;

#[derive(Debug, Args)]
pub(crate) struct Kill {
    #[command(flatten)]
    pub(crate) id: Id,
    /// The signal, by name or number
    #[arg(value_name = "SIGNAL", default_value = "SIGTERM")]
    pub(crate) signal: String,
    /// Send it to all processes of the container
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Send it to all containers whose id matches CONTAINER-ID, a regular expression
    #[arg(short, long)]
    pub(crate) regex: bool,
}
