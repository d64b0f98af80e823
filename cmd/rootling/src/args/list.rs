//! `list`.

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Print the list in this format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: ListFormat,
    /// Print only ids
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    Table,
    Json,
}
