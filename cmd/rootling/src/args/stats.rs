//! `stats`.

use std::time::Duration;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// The containers; all that have not stopped without one
    #[arg(value_name = "CONTAINER-ID")]
    pub(crate) ids: Vec<String>,
    /// Print JSON: an array on a line each time
    #[arg(long)]
    pub(crate) json: bool,
    /// Print once
    #[arg(long)]
    pub(crate) no_stream: bool,
    /// Time between two looks, which is also what the use of the CPU is the average of
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = super::events::interval)]
    pub(crate) interval: Duration,
}
