//! `delete`.

use clap::Args;

use super::Id;

#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) id: Id,
    /// Kill the container if it runs; no error if it does not exist
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Remove all containers whose id matches CONTAINER-ID, a regular expression
    #[arg(short, long)]
    pub(crate) regex: bool,
}
