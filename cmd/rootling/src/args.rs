//! The command line: names, short forms and meanings are runc's unless said otherwise.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgMatches, Args, FromArgMatches, ValueEnum};

use crate::failure;

/// The parsed command line.
#[derive(Debug)]
pub(crate) struct Cli {
    pub(crate) global: Global,
    pub(crate) command: Command,
}

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\nspec: 1.3.0");

/// Options that every command takes, before or after its name.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Directory for the state of containers
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Write the log to this file instead of standard error
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) log: Option<PathBuf>,
    /// Format of the log
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
    /// Least level that is logged
    #[arg(long, global = true, value_name = "LEVEL", default_value = "warning")]
    pub(crate) log_level: LogLevel,
    /// Log what is done and why
    #[arg(long, global = true)]
    pub(crate) debug: bool,
    /// Let systemd manage cgroups; linux.cgroupsPath is then slice:prefix:name
    #[arg(long, global = true)]
    pub(crate) systemd_cgroup: bool,
    /// Who manages cgroups
    #[arg(long, global = true, value_name = "MANAGER", conflicts_with = "systemd_cgroup")]
    pub(crate) cgroup_manager: Option<CgroupManager>,
    // Not after the name of the command: `spec` has a flag of that name, as in runc.
    /// Do without what only root may do: true, false or auto
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub(crate) rootless: Rootless,
    /// Print the version
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum LogLevel {
    Error,
    #[value(alias = "warn")]
    Warning,
    Info,
    Debug,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CgroupManager {
    Cgroupfs,
    Systemd,
    Disabled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rootless {
    Auto,
    #[value(alias = "1", alias = "t")]
    True,
    #[value(alias = "0", alias = "f")]
    False,
}

/// A command with its arguments.
#[derive(Debug)]
pub(crate) enum Command {
    Run(Run),
    Create(Create),
    Start(Id),
    State(Id),
    List(List),
    Kill(Kill),
    Delete(Delete),
    Spec(Spec),
}

/// How a command is defined and read.
struct Definition {
    name: &'static str,
    about: &'static str,
    define: fn(clap::Command) -> clap::Command,
    read: fn(&ArgMatches) -> Result<Command, clap::Error>,
}

/// Every command, in the order of the help.
const COMMANDS: [Definition; 8] = [
    Definition {
        name: "run",
        about: "Make a container and run its program",
        define: Run::augment_args,
        read: |m| Run::from_arg_matches(m).map(Command::Run),
    },
    Definition {
        name: "create",
        about: "Make a container that waits for its start",
        define: Create::augment_args,
        read: |m| Create::from_arg_matches(m).map(Command::Create),
    },
    Definition {
        name: "start",
        about: "Run the program of a created container",
        define: Id::augment_args,
        read: |m| Id::from_arg_matches(m).map(Command::Start),
    },
    Definition {
        name: "state",
        about: "Print the state of a container as JSON",
        define: Id::augment_args,
        read: |m| Id::from_arg_matches(m).map(Command::State),
    },
    Definition {
        name: "list",
        about: "List containers",
        define: |c| List::augment_args(c).visible_alias("ls"),
        read: |m| List::from_arg_matches(m).map(Command::List),
    },
    Definition {
        name: "kill",
        about: "Send a signal to a container",
        define: Kill::augment_args,
        read: |m| Kill::from_arg_matches(m).map(Command::Kill),
    },
    Definition {
        name: "delete",
        about: "Remove a container",
        define: Delete::augment_args,
        read: |m| Delete::from_arg_matches(m).map(Command::Delete),
    },
    Definition {
        name: "spec",
        about: "Write a config.json to start from",
        define: Spec::augment_args,
        read: |m| Spec::from_arg_matches(m).map(Command::Spec),
    },
];

#[derive(Debug, Args)]
pub(crate) struct Id {
    /// The container's id
    #[arg(value_name = "CONTAINER-ID")]
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct Create {
    #[command(flatten)]
    pub(crate) id: Id,
    /// The bundle: a directory with config.json and the root file system [default: this directory]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// Write the pid of the container's first process to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Socket that gets the master of the container's terminal
    #[arg(long, value_name = "SOCKET")]
    pub(crate) console_socket: Option<PathBuf>,
    /// Socket that gets a pidfd of the container's first process
    #[arg(long, value_name = "SOCKET")]
    pub(crate) pidfd_socket: Option<PathBuf>,
    /// Do not use pivot_root(2); for root file systems in an initial ramdisk only
    #[arg(long)]
    pub(crate) no_pivot: bool,
    /// Keep the caller's session keyring
    #[arg(long)]
    pub(crate) no_new_keyring: bool,
    /// How many descriptors after standard error the container keeps
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) preserve_fds: u32,
    /// Run without limits that cannot be set here, with a warning
    #[arg(long)]
    pub(crate) ignore_cgroup_limits: bool,
    /// Fail where the container would get less than its config.json asks for
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) create: Create,
    /// Leave the container alone once it runs
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Keep the container's state when it has ended
    #[arg(long)]
    pub(crate) keep: bool,
    /// Do not adopt orphans of the container
    #[arg(long)]
    pub(crate) no_subreaper: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Format of the list
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: ListFormat,
    /// Print ids only
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    Table,
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Kill {
    #[command(flatten)]
    pub(crate) id: Id,
    /// The signal, by name or number
    #[arg(value_name = "SIGNAL", default_value = "SIGTERM")]
    pub(crate) signal: String,
    /// Send it to all processes of the container
    #[arg(short, long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) id: Id,
    /// Kill the container if it runs; no error if it does not exist
    #[arg(short, long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Spec {
    /// Directory to write config.json to [default: this directory]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// Write one for an ordinary user; the default unless the caller is root
    #[arg(long = "rootless", id = "spec_rootless")]
    pub(crate) rootless: bool,
}

impl Command {
    /// Its name on the command line.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Run(_) => "run",
            Self::Create(_) => "create",
            Self::Start(_) => "start",
            Self::State(_) => "state",
            Self::List(_) => "list",
            Self::Kill(_) => "kill",
            Self::Delete(_) => "delete",
            Self::Spec(_) => "spec",
        }
    }

    /// The container it is about.
    pub(crate) fn id(&self) -> Option<&str> {
        match self {
            Self::Run(a) => Some(&a.create.id.id),
            Self::Create(a) => Some(&a.id.id),
            Self::Start(a) | Self::State(a) => Some(&a.id),
            Self::Kill(a) => Some(&a.id.id),
            Self::Delete(a) => Some(&a.id.id),
            Self::List(_) | Self::Spec(_) => None,
        }
    }
}

/// Parses the command line; on help, version or an error, prints it and says how to end.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Cli, ExitCode> {
    let args: Vec<OsString> = args.collect();
    // Taking apart the definition of all commands is a twentieth of the time of a run: where the first
    // word that names a command is not the value of an option, that one alone is enough. Whatever does
    // not parse is parsed again with all, for the message.
    let parsed = match named(&args) {
        Some(only) => read(definition(std::slice::from_ref(only)), &args),
        None => read(definition(&COMMANDS), &args),
    };
    parsed.or_else(|_| read(definition(&COMMANDS), &args)).map_err(|error| match error.kind() {
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

    #[test]
    fn the_definition_is_consistent() {
        definition(&COMMANDS).debug_assert();
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
