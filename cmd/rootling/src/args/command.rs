//! All commands: the name of each, how it is defined, and how it is parsed.

use clap::{ArgMatches, Args, FromArgMatches};
use rootling_config::id::ContainerId;

use super::{
    Adapt, Checkpoint, Completion, Create, Delete, Doctor, Events, Exec, Features, Help, Hook, Id, Ids,
    Image, Kill, List, Man, Profile, Ps, Restore, Run, Spec, Stats, Update,
};

/// A command with its arguments.
#[derive(Debug)]
pub(crate) enum Command {
    Run(Run),
    Create(Create),
    Start(Ids),
    State(Id),
    List(List),
    Kill(Kill),
    Delete(Delete),
    Exec(Exec),
    Spec(Box<Spec>),
    Hook(Hook),
    Image(Image),
    Adapt(Adapt),
    Doctor(Doctor),
    Checkpoint(Checkpoint),
    Restore(Restore),
    Features(Features),
    Help(Help),
    Man(Man),
    Completion(Completion),
    Profile(Profile),
    Update(Box<Update>),
    Pause(Id),
    Resume(Id),
    Ps(Ps),
    Events(Events),
    Stats(Stats),
}

/// How a command is defined and parsed.
pub(super) struct Definition {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) define: fn(clap::Command) -> clap::Command,
    pub(super) read: fn(&ArgMatches) -> Result<Command, clap::Error>,
}

/// Every command, in the order of the help.
pub(super) const COMMANDS: &[Definition] = &[
    Definition {
        name: "run",
        about: "Create a container and run its program",
        define: Run::augment_args,
        read: |m| Run::from_arg_matches(m).map(Command::Run),
    },
    Definition {
        name: "create",
        about: "Create a container without starting its program",
        define: Create::augment_args,
        read: |m| Create::from_arg_matches(m).map(Command::Create),
    },
    Definition {
        name: "start",
        about: "Run the program of a created container",
        define: Ids::augment_args,
        read: |m| Ids::from_arg_matches(m).map(Command::Start),
    },
    Definition {
        name: "exec",
        about: "Run a program in a container",
        define: Exec::augment_args,
        read: |m| Exec::from_arg_matches(m).map(Command::Exec),
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
        name: "update",
        about: "Change the limits of a container",
        define: Update::augment_args,
        read: |m| Update::from_arg_matches(m).map(|u| Command::Update(Box::new(u))),
    },
    Definition {
        name: "pause",
        about: "Suspend the processes of a container",
        define: Id::augment_args,
        read: |m| Id::from_arg_matches(m).map(Command::Pause),
    },
    Definition {
        name: "resume",
        about: "Resume the processes of a paused container",
        define: Id::augment_args,
        read: |m| Id::from_arg_matches(m).map(Command::Resume),
    },
    Definition {
        name: "ps",
        about: "List the processes of a container",
        define: Ps::augment_args,
        read: |m| Ps::from_arg_matches(m).map(Command::Ps),
    },
    Definition {
        name: "events",
        about: "Report the resource usage of a container, and when it runs out of memory",
        define: Events::augment_args,
        read: |m| Events::from_arg_matches(m).map(Command::Events),
    },
    Definition {
        name: "stats",
        about: "Show the resource usage of containers",
        define: Stats::augment_args,
        read: |m| Stats::from_arg_matches(m).map(Command::Stats),
    },
    Definition {
        name: "spec",
        about: "Write a config.json",
        define: Spec::augment_args,
        read: |m| Spec::from_arg_matches(m).map(Box::new).map(Command::Spec),
    },
    Definition {
        name: "hook",
        about: "Give a container a network, as a hook that runtimes call",
        define: Hook::augment_args,
        read: |m| Hook::from_arg_matches(m).map(Command::Hook),
    },
    Definition {
        name: "image",
        about: "Make a bundle from an image, and manage image layouts",
        define: Image::augment_args,
        read: |m| Image::from_arg_matches(m).map(Command::Image),
    },
    Definition {
        name: "adapt",
        about: "Print a config.json as it is adapted to this caller and host",
        define: Adapt::augment_args,
        read: |m| Adapt::from_arg_matches(m).map(Command::Adapt),
    },
    Definition {
        name: "doctor",
        about: "Check whether containers can run on this host, and suggest fixes",
        define: Doctor::augment_args,
        read: |m| Doctor::from_arg_matches(m).map(Command::Doctor),
    },
    Definition {
        name: "checkpoint",
        about: "Save the processes of a container with CRIU",
        define: Checkpoint::augment_args,
        read: |m| Checkpoint::from_arg_matches(m).map(Command::Checkpoint),
    },
    Definition {
        name: "restore",
        about: "Restore a container from a checkpoint",
        define: Restore::augment_args,
        read: |m| Restore::from_arg_matches(m).map(Command::Restore),
    },
    Definition {
        name: "features",
        about: "Print the supported features as JSON",
        define: Features::augment_args,
        read: |m| Features::from_arg_matches(m).map(Command::Features),
    },
    Definition {
        name: "profile",
        about: "Print the default seccomp profile, or an AppArmor profile for the program",
        define: Profile::augment_args,
        read: |m| Profile::from_arg_matches(m).map(Command::Profile),
    },
    Definition {
        name: "help",
        about: "Explain a command",
        define: |c| Help::augment_args(c).visible_alias("h"),
        read: |m| Help::from_arg_matches(m).map(Command::Help),
    },
    Definition {
        name: "man",
        about: "Print a manual page",
        define: Man::augment_args,
        read: |m| Man::from_arg_matches(m).map(Command::Man),
    },
    Definition {
        name: "completion",
        about: "Print a script that completes commands and options in a shell",
        define: Completion::augment_args,
        read: |m| Completion::from_arg_matches(m).map(Command::Completion),
    },
];

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
            Self::Exec(_) => "exec",
            Self::Spec(_) => "spec",
            Self::Hook(_) => "hook",
            Self::Image(_) => "image",
            Self::Adapt(_) => "adapt",
            Self::Doctor(_) => "doctor",
            Self::Checkpoint(_) => "checkpoint",
            Self::Restore(_) => "restore",
            Self::Features(_) => "features",
            Self::Help(_) => "help",
            Self::Man(_) => "man",
            Self::Completion(_) => "completion",
            Self::Profile(_) => "profile",
            Self::Update(_) => "update",
            Self::Pause(_) => "pause",
            Self::Resume(_) => "resume",
            Self::Ps(_) => "ps",
            Self::Events(_) => "events",
            Self::Stats(_) => "stats",
        }
    }

    /// The container it is about.
    pub(crate) fn id(&self) -> Option<&str> {
        match self {
            Self::Run(a) => a.id.as_ref().map(ContainerId::as_str),
            Self::Create(a) => Some(a.id.id.as_str()),
            Self::Start(a) => a.only(),
            Self::State(a) | Self::Pause(a) | Self::Resume(a) => Some(a.id.as_str()),
            Self::Update(a) => Some(a.id.id.as_str()),
            Self::Ps(a) => Some(a.id.id.as_str()),
            Self::Events(a) => Some(a.id.id.as_str()),
            // The second word may be a signal.
            Self::Kill(a) => a.words.first().filter(|_| a.words.len() < 3).map(String::as_str),
            Self::Delete(a) => a.ids.only(),
            Self::Exec(a) => a.words.first().map(String::as_str),
            Self::Checkpoint(a) => Some(a.id.id.as_str()),
            Self::Restore(a) => Some(a.id.id.as_str()),
            Self::List(_)
            | Self::Spec(_)
            | Self::Hook(_)
            | Self::Image(_)
            | Self::Stats(_)
            | Self::Adapt(_)
            | Self::Doctor(_)
            | Self::Features(_)
            | Self::Help(_)
            | Self::Man(_)
            | Self::Completion(_)
            | Self::Profile(_) => None,
        }
    }
}
