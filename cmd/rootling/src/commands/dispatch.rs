//! Picks the command.

use std::process::ExitCode;

use rootling_config::id::ContainerId;
use rootling_runtime::{self as runtime, Result};

use super::{
    adapt, checkpoint, create, doctor, events, exec, features, list, manual, many, profile, ps, spec, state,
    stats, update,
};
use crate::args::{Cli, Command};
use crate::roots;

/// Executes the command; its exit code.
pub(crate) fn execute(cli: &Cli) -> Result<ExitCode> {
    let global = &cli.global;
    match &cli.command {
        Command::Run(args) => return create::run(global, args),
        Command::Create(args) => create::create(global, args)?,
        Command::Start(args) => runtime::start(&roots::store(global)?, &ContainerId::parse(&args.id)?)?,
        Command::State(args) => state::state(&roots::store(global)?, &ContainerId::parse(&args.id)?)?,
        Command::List(args) => return list::list(&roots::store(global)?, args),
        Command::Kill(args) => {
            let signal = runtime::parse_signal(&args.signal)?;
            let store = roots::store(global)?;
            many::each(&store, &args.id.id, args.regex, |id| runtime::kill(&store, id, signal, args.all))?;
        }
        Command::Delete(args) => {
            let store = roots::store(global)?;
            many::each(&store, &args.id.id, args.regex, |id| runtime::delete(&store, id, args.force))?;
        }
        Command::Exec(args) => return exec::exec(global, args),
        Command::Spec(args) => spec::spec(global, args)?,
        Command::Adapt(args) => adapt::adapt(global, args)?,
        Command::Doctor(args) => return doctor::doctor(args),
        Command::Checkpoint(args) => checkpoint::checkpoint(global, args)?,
        Command::Restore(args) => return checkpoint::restore(global, args),
        Command::Features(_) => features::features()?,
        Command::Help(args) => manual::help(args)?,
        Command::Man(args) => manual::man(args)?,
        Command::Completion(args) => manual::completion(args)?,
        Command::Profile(args) => profile::profile(args)?,
        Command::Update(args) => update::update(&roots::store(global)?, args)?,
        Command::Pause(args) => runtime::pause(&roots::store(global)?, &ContainerId::parse(&args.id)?)?,
        Command::Resume(args) => runtime::resume(&roots::store(global)?, &ContainerId::parse(&args.id)?)?,
        Command::Ps(args) => ps::ps(&roots::store(global)?, args)?,
        Command::Events(args) => events::events(&roots::store(global)?, args)?,
        Command::Stats(args) => stats::stats(&roots::store(global)?, args)?,
    }
    Ok(ExitCode::SUCCESS)
}
