//! Dispatches to the command.

use rootling_cli::roots::Context;
use rootling_image::Result;
use rootling_runtime::{Host, explain};

use super::{layout, manual, unpack};
use crate::args::{Cli, Command};

pub(crate) fn execute(cli: &Cli) -> Result<()> {
    let host = Host::probe();
    let context = Context { global: &cli.global, host: &host };
    let result = match &cli.command {
        Command::Unpack(args) => unpack::unpack(context, args),
        Command::Pull(args) => layout::pull(args),
        Command::Inspect(args) => layout::inspect(args),
        Command::List(args) => layout::list(args),
        Command::Gc(args) => layout::gc(args),
        Command::Man { dir } => manual::man(dir),
        Command::Completion { shell } => manual::completion(*shell),
    };
    result.map_err(|error| explain(error, &host))
}
