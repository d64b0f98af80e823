//! `events`.

use std::time::Duration;

use clap::Args;

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

/// A time that is more than nothing.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time.is_zero() => Err("duration interval must be greater than 0".into()),
        Ok(time) => Ok(time),
        Err(e) => Err(format!("{e}; write it with a unit, such as 1s, 100ms or 1m30s")),
    }
}
