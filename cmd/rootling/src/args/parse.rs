//! Parses the words of the command line into a [`Cli`].

use std::error::Error as _;
use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Args, FromArgMatches};
use rootling_cli::terminal::in_one_line;
use rootling_config::id::IdError;

use super::command::{COMMANDS, Definition};
use super::{Command, Global, help, words};
use crate::version;

/// The parsed command line.
#[derive(Debug)]
pub(crate) struct Cli {
    pub(crate) global: Global,
    pub(crate) command: Command,
}

/// The result of a command line without a command to execute.
#[derive(Debug)]
pub(crate) enum End {
    /// What was asked for: help, or the version.
    Answer(String),
    /// What is wrong with the line and where to read more, with the global options as far as they could be parsed.
    Wrong(String, Option<Global>),
}

/// Parses the command line.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Cli, End> {
    let args: Vec<OsString> = args.collect();
    let program = program_name(&args);
    // Processing the definitions of all commands takes a twentieth of the time of a run. If the first word that
    // names a command is not the value of an option, the definition of that command alone is sufficient. Whatever
    // cannot be parsed is parsed again with all definitions, for the error message.
    if !words::unusual(&args)
        && let Some(only) = named(&args)
        && let Ok(cli) =
            read_flat(only, &args).unwrap_or_else(|| read(definition(std::slice::from_ref(only)), &args))
    {
        return Ok(cli);
    }
    let args = words::rewritten(&definition(COMMANDS), &args);
    read(definition(COMMANDS), &args).map_err(|error| end(&program, &args, &error))
}

/// The name that the program is called by.
fn program_name(args: &[OsString]) -> String {
    let name = args.first().and_then(|path| Path::new(path).file_name()).unwrap_or_default();
    if name.is_empty() { env!("CARGO_PKG_NAME").to_owned() } else { name.to_string_lossy().into_owned() }
}

/// The first word that is the name of a command.
fn named(args: &[OsString]) -> Option<&'static Definition> {
    args.iter().skip(1).find_map(|word| COMMANDS.iter().find(|d| word == d.name))
}

/// The definition of the program with these commands.
fn definition(commands: &[Definition]) -> clap::Command {
    let root = clap::Command::new(env!("CARGO_PKG_NAME"))
        .version(version::VERSION)
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .args_override_self(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand_value_name("COMMAND");
    // The derive macro takes the comment of the arguments' type for the description of the command.
    let root = Global::augment_args(root).about("Open Container Initiative runtime for ordinary users");
    commands.iter().fold(root, |root, d| {
        let command = clap::Command::new(d.name).args_override_self(true);
        root.subcommand((d.define)(command).about(d.about))
    })
}

/// The whole definition, with what help, manual pages and completions need.
pub(crate) fn whole(program: &str) -> clap::Command {
    let mut root = definition(COMMANDS).help_template(help::of_program(program)).bin_name(program);
    for d in COMMANDS {
        root = root.mut_subcommand(d.name, |c| c.help_template(help::of_command(program, d)));
    }
    root
}

/// The help of the program, or of one command.
pub(crate) fn help_text(program: &str, command: Option<&str>) -> Option<String> {
    let mut root = whole(program);
    if let Some(name) = command {
        // Options that every command has are explained only once.
        root = root.mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg });
        root.build();
        let command = root.find_subcommand_mut(name)?;
        return Some(command.render_help().to_string());
    }
    Some(root.render_help().to_string())
}

fn read(mut definition: clap::Command, args: &[OsString]) -> Result<Cli, clap::Error> {
    let matches = definition.try_get_matches_from_mut(args);
    // Leaked: it consists of some hundred allocations, which the end of the process frees anyway.
    std::mem::forget(definition);
    let matches = matches?;
    let global = Global::from_arg_matches(&matches)?;
    check(&global)?;
    let (name, inner) = matches.subcommand().ok_or_else(|| clap::Error::new(ErrorKind::MissingSubcommand))?;
    let found = COMMANDS.iter().find(|d| d.name == name);
    let found = found.ok_or_else(|| clap::Error::new(ErrorKind::InvalidSubcommand))?;
    (found.read)(inner).map(|command| Cli { global, command })
}

/// clap detects it only if both are on the same side of the command.
fn check(global: &Global) -> Result<(), clap::Error> {
    if global.systemd_cgroup && global.cgroup_manager.is_some() {
        let text = "--systemd-cgroup cannot be used with --cgroup-manager: leave one of them out";
        return Err(clap::Error::raw(ErrorKind::ArgumentConflict, text));
    }
    Ok(())
}

/// Parses a line with one list of the options of program and command: what clap does to hand global options down
/// to a command takes as long as all else of the parser. `None` if the line or the command needs that.
fn read_flat(only: &Definition, args: &[OsString]) -> Option<Result<Cli, clap::Error>> {
    let at = args.iter().skip(1).position(|word| word == only.name)? + 1;
    let (before, after) = (&args[..at], &args[at + 1..]);
    let mut definition = flat(only, &before[1..])?;
    let matches = definition.try_get_matches_from_mut(before.iter().chain(after));
    // Leaked, as above.
    std::mem::forget(definition);
    let matches = match matches {
        Ok(matches) => matches,
        Err(error) => return Some(Err(error)),
    };
    // It may stand only before the command.
    if matches.value_source("rootless") != Some(ValueSource::DefaultValue) {
        return None;
    }
    Some(Global::from_arg_matches(&matches).and_then(|global| {
        check(&global)?;
        (only.read)(&matches).map(|command| Cli { global, command })
    }))
}

/// The definition of one command, with the global options among its own. `None` if anything else is before the command, for a
/// command that has commands of its own, and for `spec`, whose `--rootless` is another one.
fn flat(only: &Definition, before: &[OsString]) -> Option<clap::Command> {
    if only.name == "spec" {
        return None;
    }
    let command = clap::Command::new(only.name)
        .version(version::VERSION)
        .disable_version_flag(true)
        .args_override_self(true);
    let global = Global::augment_args(command);
    if !words::are_options(&global, before) {
        return None;
    }
    let command = (only.define)(global.mut_args(|arg| arg.global(false)));
    (!command.has_subcommands()).then_some(command)
}

/// Help, version, or what is wrong with the line.
fn end(program: &str, args: &[OsString], error: &clap::Error) -> End {
    let asked = words::command(&definition(COMMANDS), args);
    let known =
        asked.and_then(|word| COMMANDS.iter().find(|d| d.name == word || word == "ls" && d.name == "list"));
    let help = |command: Option<&str>| End::Answer(help_text(program, command).unwrap_or_default());
    match error.kind() {
        ErrorKind::DisplayHelp => help(known.map(|d| d.name)),
        // As in runc, the help is shown if there is no command.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => help(None),
        ErrorKind::DisplayVersion => End::Answer(format!("{program} version {}\n", version::text())),
        _ => {
            let command = known.map(|d| format!("{} ", d.name)).unwrap_or_default();
            // Says all about it. clap would repeat the whole word, of whatever length.
            if let Some(error) = error.source().and_then(|source| source.downcast_ref::<IdError>()) {
                return End::Wrong(format!("{}: {error}", command.trim_end()), global_of(args));
            }
            End::Wrong(format!("{}; see `{program} {command}--help`", message(error)), global_of(args))
        }
    }
}

/// The global options of a line that is wrong: an engine reads only the log that they name.
fn global_of(args: &[OsString]) -> Option<Global> {
    let matches = definition(COMMANDS).ignore_errors(true).try_get_matches_from(args).ok()?;
    Global::from_arg_matches(&matches).ok()
}

/// What is wrong, on one line.
fn message(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        // The most similar one comes last.
        Some(ContextValue::Strings(list)) => list.last().cloned(),
        _ => None,
    };
    let similar = |kind| context(kind).map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default();
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let name = context(ContextKind::InvalidSubcommand).unwrap_or_default();
            let similar = similar(ContextKind::SuggestedSubcommand);
            format!("no command {name:?}: No help topic for '{name}'{similar}")
        }
        ErrorKind::UnknownArgument => {
            let name = context(ContextKind::InvalidArg).unwrap_or_default();
            let what = if name.starts_with('-') { "unknown option" } else { "one argument too many:" };
            format!("{what} {name:?}{}", similar(ContextKind::SuggestedArg))
        }
        ErrorKind::MissingRequiredArgument => match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::Strings(names)) => format!("missing: {}", names.join(", ")),
            _ => "an argument is missing".to_owned(),
        },
        _ => in_one_line(error),
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
