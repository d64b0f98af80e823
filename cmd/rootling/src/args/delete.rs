//! `delete`.

use clap::Args;

use super::Ids;

#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) ids: Ids,
    /// Kill the container if it is running; ignore one that does not exist
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Remove all containers whose id matches the regular expression CONTAINER-ID
    #[arg(short, long)]
    pub(crate) regex: bool,
}
