//! `events` and `stats`.

use std::time::Duration;

use clap::Args;
use rootling_config::id::ContainerId;

use super::Id;

#[derive(Debug, Args)]
pub(crate) struct Events {
    #[command(flatten)]
    pub(crate) id: Id,
    /// Report at this interval, such as 1s, 100ms or 1m30s
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = interval)]
    pub(crate) interval: Duration,
    /// Print the statistics once
    #[arg(long)]
    pub(crate) stats: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// Ids of the containers [default: all that have not stopped]
    #[arg(value_name = "CONTAINER-ID")]
    pub(crate) ids: Vec<ContainerId>,
    /// Print JSON, one array on each line
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the statistics once
    #[arg(long)]
    pub(crate) no_stream: bool,
    /// Update, and average the CPU usage, over this interval
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub(crate) interval: Duration,
}

/// A time that is more than nothing.
fn interval(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time.is_zero() => Err("duration interval must be greater than 0".into()),
        Ok(time) => Ok(time),
        Err(e) => Err(format!("{e}; write it with a unit, such as 1s, 100ms or 1m30s")),
    }
}
