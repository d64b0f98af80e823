//! `hook`: a program of its own, which takes all that follows.

use std::ffi::OsString;

use clap::Args;

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Hook {
    /// Hook of rootling-hook with its options; `rootling hook --help` lists them
    #[arg(value_name = "ARG", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) words: Vec<OsString>,
}
