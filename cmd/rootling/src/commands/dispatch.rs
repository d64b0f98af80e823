//! Dispatches to the command.

use std::process::ExitCode;

use rootling_rootless::host::Host;
use rootling_runtime::{self as runtime, Result};

use super::{
    adapt, checkpoint, completion, create, doctor, events, exec, features, hook, image, list, manual,
    profile, ps, select, spec, stats, update,
};
use crate::args::{Cli, Command};
use crate::roots::Context;

/// Executes the command and returns its exit code.
pub(crate) fn execute(cli: &Cli) -> Result<ExitCode> {
    let host = Host::probe();
    let context = Context { global: &cli.global, host: &host };
    let checked = if needs_kernel(&cli.command) { runtime::check_kernel(&host) } else { Ok(()) };
    checked.and_then(|()| perform(&cli.command, context)).map_err(|error| runtime::explain(error, &host))
}

/// Whether the command is about containers, and not about documents, this program or this host.
fn needs_kernel(command: &Command) -> bool {
    !matches!(
        command,
        Command::Spec(_)
            | Command::Adapt(_)
            | Command::Doctor(_)
            | Command::Features(_)
            | Command::Image(_)
            | Command::Help(_)
            | Command::Man(_)
            | Command::Completion(_)
            | Command::Profile(_)
    )
}

fn perform(command: &Command, context: Context<'_>) -> Result<ExitCode> {
    match command {
        Command::Run(args) => return create::run(context, args),
        Command::Create(args) => create::create(context, args)?,
        Command::Start(args) => {
            let store = context.store()?;
            return select::each(&store, "start", &args.ids, false, |id| runtime::start(&store, id));
        }
        Command::State(args) => list::state(&context.store()?, &args.id)?,
        Command::List(args) => return list::list(context.host, &context.store()?, args),
        Command::Kill(args) => {
            let store = context.store()?;
            let (ids, signal) = select::ids_and_signal(&store, &args.words)?;
            return select::each(&store, "kill", ids, args.regex, |id| {
                runtime::kill(&store, id, signal, args.all)
            });
        }
        Command::Delete(args) => {
            let store = context.store()?;
            let ids = &args.ids.ids;
            return select::each(&store, "delete", ids, args.regex, |id| {
                runtime::delete(&store, id, args.force)
            });
        }
        Command::Exec(args) => return exec::exec(context, args),
        Command::Spec(args) => spec::spec(context, args)?,
        Command::Hook(args) => hook::hook(context.host, args)?,
        Command::Image(args) => match image::image(args)? {},
        Command::Adapt(args) => adapt::adapt(context, args)?,
        Command::Doctor(args) => return doctor::doctor(context.host, args),
        Command::Checkpoint(args) => checkpoint::checkpoint(context, args)?,
        Command::Restore(args) => return checkpoint::restore(context, args),
        Command::Features(_) => features::features(context.host)?,
        Command::Help(args) => manual::help(args)?,
        Command::Man(args) => manual::man(args)?,
        Command::Completion(args) => completion::completion(args)?,
        Command::Profile(args) => profile::profile(args)?,
        Command::Update(args) => update::update(context, args)?,
        Command::Pause(args) => runtime::pause(&context.store()?, &args.id)?,
        Command::Resume(args) => runtime::resume(&context.store()?, &args.id)?,
        Command::Ps(args) => ps::ps(&context.store()?, args)?,
        Command::Events(args) => events::events(&context.store()?, args)?,
        Command::Stats(args) => stats::stats(&context.store()?, args)?,
    }
    Ok(ExitCode::SUCCESS)
}
