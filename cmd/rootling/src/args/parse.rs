//! From the words of the command line to a [`Cli`].

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, FromArgMatches};

use super::command::{COMMANDS, Definition};
use super::{Command, Global};
use crate::failure;

/// The parsed command line.
#[derive(Debug)]
pub(crate) struct Cli {
    pub(crate) global: Global,
    pub(crate) command: Command,
}

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\nspec: 1.3.0");

/// Parses the command line; on help, version or an error, prints it and says how to end.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Cli, ExitCode> {
    let args: Vec<OsString> = args.collect();
    // Taking apart the definition of all commands is a twentieth of the time of a run: where the first
    // word that names a command is not the value of an option, that one alone is enough. Whatever does
    // not parse is parsed again with all, for the message.
    let parsed = match named(&args) {
        Some(only) => read(definition(std::slice::from_ref(only)), &args),
        None => read(definition(COMMANDS), &args),
    };
    parsed.or_else(|_| read(definition(COMMANDS), &args)).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::FAILURE
        }
        _ => failure::usage(&error.render().to_string()),
    })
}

/// The first word that is the name of a command.
fn named(args: &[OsString]) -> Option<&'static Definition> {
    args.iter().skip(1).find_map(|word| COMMANDS.iter().find(|d| word == d.name))
}

/// The definition of the program with these commands.
fn definition(commands: &[Definition]) -> clap::Command {
    let program = clap::Command::new("rootling")
        .about("Run OCI containers as an ordinary user")
        .version(VERSION)
        .disable_help_subcommand(true)
        .disable_version_flag(true)
        .subcommand_required(true)
        .arg_required_else_help(true);
    let program = Global::augment_args(program);
    commands
        .iter()
        .fold(program, |program, d| program.subcommand((d.define)(clap::Command::new(d.name).about(d.about))))
}

fn read(mut definition: clap::Command, args: &[OsString]) -> Result<Cli, clap::Error> {
    let matches = definition.try_get_matches_from_mut(args);
    // A tree of some hundred allocations, taken apart by the end of the process anyway.
    std::mem::forget(definition);
    let matches = matches?;
    let global = Global::from_arg_matches(&matches)?;
    let (name, inner) = matches.subcommand().ok_or_else(|| clap::Error::new(ErrorKind::MissingSubcommand))?;
    let found = COMMANDS.iter().find(|d| d.name == name);
    let found = found.ok_or_else(|| clap::Error::new(ErrorKind::InvalidSubcommand))?;
    (found.read)(inner).map(|command| Cli { global, command })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Spec;

    #[test]
    fn the_definition_is_consistent() {
        definition(COMMANDS).debug_assert();
    }

    #[test]
    fn global_options_are_taken_before_and_after_the_command() {
        for line in [
            &["rootling", "--root", "/r", "--systemd-cgroup", "state", "x"][..],
            &["rootling", "state", "--root", "/r", "x", "--systemd-cgroup"],
        ] {
            let cli = parse(line.iter().map(OsString::from)).unwrap();
            assert_eq!(cli.global.root.as_deref(), Some(std::path::Path::new("/r")), "{line:?}");
            assert!(cli.global.systemd_cgroup, "{line:?}");
        }
    }

    #[test]
    fn spec_has_a_flag_named_as_the_global_option() {
        let cli = parse(["rootling", "spec", "--rootless"].iter().map(OsString::from)).unwrap();
        assert!(matches!(cli.command, Command::Spec(Spec { rootless: true, .. })));
    }

    #[test]
    fn the_value_of_an_option_may_be_the_name_of_a_command() {
        let cli = parse(["rootling", "--root", "list", "state", "run"].iter().map(OsString::from)).unwrap();
        assert_eq!(cli.global.root.as_deref(), Some(std::path::Path::new("list")));
        assert_eq!((cli.command.name(), cli.command.id()), ("state", Some("run")));
        let cli = parse(["rootling", "ls", "-q"].iter().map(OsString::from)).unwrap();
        assert_eq!(cli.command.name(), "list");
    }
}
