//! `ps`.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use super::Id;

#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// Print the processes in this format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: PsFormat,
    #[command(flatten)]
    pub(crate) id: Id,
    /// Options that are passed to ps(1) for the table [default: -ef]
    #[arg(value_name = "PS-OPTIONS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) options: Vec<OsString>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PsFormat {
    Table,
    Json,
}
