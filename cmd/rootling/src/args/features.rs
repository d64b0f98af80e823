//! `features`, which takes nothing.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Features {}
