//! `spec`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Spec {
    /// Directory to write config.json to [default: this directory]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// Write one for an ordinary user; the default unless the caller is root
    #[arg(long = "rootless", id = "spec_rootless")]
    pub(crate) rootless: bool,
}
