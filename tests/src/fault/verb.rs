//! The commands that are tried.

use std::fmt;
use std::str::FromStr;

/// A command with its options, for a container in a suitable state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// `create`.
    Create,
    /// `run` in the foreground.
    Run,
    /// `run --detach`.
    RunDetached,
    /// `exec` in a running container.
    Exec,
    /// `start` of a created container.
    Start,
    /// `delete` of a stopped container.
    Delete,
    /// `delete --force` of a running container.
    DeleteForce,
    /// `kill` with SIGUSR1.
    Kill,
    /// `update` of the process limit.
    Update,
    /// `pause`.
    Pause,
    /// `resume`.
    Resume,
}

impl Verb {
    /// All commands with their names.
    pub const ALL: [(Self, &str); 11] = [
        (Self::Create, "create"),
        (Self::Run, "run"),
        (Self::RunDetached, "run-detached"),
        (Self::Exec, "exec"),
        (Self::Start, "start"),
        (Self::Delete, "delete"),
        (Self::DeleteForce, "delete-force"),
        (Self::Kill, "kill"),
        (Self::Update, "update"),
        (Self::Pause, "pause"),
        (Self::Resume, "resume"),
    ];

    /// Whether it works on a container that stays from one case to the next.
    pub(super) fn needs_standing(self) -> bool {
        matches!(self, Self::Exec | Self::Kill | Self::Update | Self::Pause | Self::Resume)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(verb, _)| verb == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for Verb {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found.map(|(verb, _)| *verb).ok_or_else(|| format!("no command: {text:?}"))
    }
}
