//! `spec`.
#![allow(rustdoc::broken_intra_doc_links)] // Brackets in a help text are no links.

use std::path::PathBuf;

use clap::Args;
use rootling_cli::SpecFlags;

#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Spec {
    /// Write config.json to this directory [default: the current directory]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// Write to this file instead, or to standard output if it is `-`
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write a config.json for an ordinary user; the default unless the caller is root
    #[arg(long = "rootless", id = "spec_rootless")]
    pub(crate) rootless: bool,
    #[command(flatten)]
    pub(crate) flags: SpecFlags,
}
