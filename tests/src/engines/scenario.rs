//! What a table of scenarios is made of.

use super::Session;

/// Scenarios of one subject, such as the options of `run`. They follow one another in one place: what one has made is
/// there for the next.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// By which it is selected, and the first word of each line about it.
    pub name: &'static str,
    /// What is done.
    pub steps: &'static [Step],
}

/// What decides whether steps are for a run.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Whether root calls the engine.
    pub root: bool,
    /// Whether the engine's host network is the machine's.
    pub host_network: bool,
    /// Whether the engine confines containers by AppArmor.
    pub apparmor: bool,
}

/// A line of a table.
///
/// A command is a line for bash, as a user types it. It has the variables of the run (see [`Session`]), no input and no
/// terminal. What is expected is a regular expression that has to match a line of what it has printed, or the line
/// `status=` with its exit code. In what is expected, in names and in files the variables are filled in as well.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Runs a command and looks at what it has printed.
    Check {
        /// The scenario's name.
        name: &'static str,
        /// What a line has to match.
        expected: &'static str,
        /// The command.
        command: &'static str,
        /// Seconds for the command, where it takes longer than others.
        seconds: Option<u64>,
    },
    /// The same for what comes about by itself a moment later: the command, which has to change nothing, is repeated
    /// until it is well, for a minute at most.
    Soon {
        /// The scenario's name.
        name: &'static str,
        /// What a line has to match.
        expected: &'static str,
        /// The command.
        command: &'static str,
    },
    /// Looks once more at what the command before has printed.
    Also {
        /// The scenario's name.
        name: &'static str,
        /// What a line has to match.
        expected: &'static str,
    },
    /// Runs a command whose result does not matter.
    Quietly(&'static str),
    /// Sets a variable to what a command prints.
    Set(&'static str, &'static str),
    /// Writes a file, at a path with variables.
    File(&'static str, &'static str),
    /// Writes what the documentation in the package says to a file: the first block in a language below a heading of a
    /// page.
    Excerpt(&'static str, &'static str, &'static str, &'static str),
    /// Prepares something that is no command.
    Prepare(fn(&mut Session) -> Result<(), String>),
    /// Steps that are only for some runs.
    When(fn(Facts) -> bool, &'static [Step]),
    /// Steps that several groups have.
    All(&'static [Step]),
}

pub(super) const fn group(name: &'static str, steps: &'static [Step]) -> Group {
    Group { name, steps }
}

pub(super) const fn check(name: &'static str, expected: &'static str, command: &'static str) -> Step {
    Step::Check { name, expected, command, seconds: None }
}

pub(super) const fn check_within(
    seconds: u64,
    name: &'static str,
    expected: &'static str,
    command: &'static str,
) -> Step {
    Step::Check { name, expected, command, seconds: Some(seconds) }
}

pub(super) const fn soon(name: &'static str, expected: &'static str, command: &'static str) -> Step {
    Step::Soon { name, expected, command }
}

pub(super) const fn also(name: &'static str, expected: &'static str) -> Step {
    Step::Also { name, expected }
}

/// For [`Step::When`].
pub(super) fn as_root(facts: Facts) -> bool {
    facts.root
}

/// For [`Step::When`].
pub(super) fn as_user(facts: Facts) -> bool {
    !facts.root
}

impl Step {
    /// The names of the scenarios among these steps that are for a run, and what each looks at.
    pub fn scenarios(steps: &'static [Self], facts: Facts) -> Vec<Self> {
        steps
            .iter()
            .flat_map(|step| match step {
                Self::Check { .. } | Self::Soon { .. } | Self::Also { .. } => vec![*step],
                Self::When(holds, steps) if holds(facts) => Self::scenarios(steps, facts),
                Self::All(steps) => Self::scenarios(steps, facts),
                _ => Vec::new(),
            })
            .collect()
    }
}
