//! `stats`.

use std::time::Duration;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// Ids of the containers [default: all that have not stopped]
    #[arg(value_name = "CONTAINER-ID")]
    pub(crate) ids: Vec<String>,
    /// Print JSON, one array on each line
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the statistics once
    #[arg(long)]
    pub(crate) no_stream: bool,
    /// Update, and average the CPU usage, over this interval
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = super::events::interval)]
    pub(crate) interval: Duration,
}
