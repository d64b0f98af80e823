//! The elements of a table of scenarios.

use super::Session;

/// Scenarios about one subject, such as the options of `run`. They are run in order in the same directory: what one
/// has made is available to the next.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// The name by which it is selected, and the first word of each line about it.
    pub name: &'static str,
    /// Its steps.
    pub steps: &'static [Step],
}

/// The facts that decide whether steps apply to a run.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Whether root calls the engine.
    pub root: bool,
    /// Whether the engine's host network is that of the machine.
    pub host_network: bool,
    /// Whether the engine confines containers with AppArmor.
    pub apparmor: bool,
    /// Whether this is a whole machine: with controllers for cgroups, so that limits can be set, and with all
    /// capabilities for root. A system container may lack them.
    pub machine: bool,
}

/// A line of a table.
///
/// A command is a line for bash, as a user types it. It has the variables of the run (see [`Session`]), no input
/// and no terminal. What is expected is a regular expression that must match a line of the output, or the line
/// `status=` with the exit code. Variables are also filled into what is expected, into names and into files.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Runs a command and checks what it has printed.
    Check {
        /// The scenario's name.
        name: &'static str,
        /// The expression that a line must match.
        expected: &'static str,
        /// The command.
        command: &'static str,
        /// The time for the command in seconds, if it takes longer than others.
        seconds: Option<u64>,
    },
    /// The same for something that happens by itself a moment later: the command, which must not change anything,
    /// is repeated until it succeeds, for a minute at most.
    Soon {
        /// The scenario's name.
        name: &'static str,
        /// The expression that a line must match.
        expected: &'static str,
        /// The command.
        command: &'static str,
    },
    /// Checks again what the previous command has printed.
    Also {
        /// The scenario's name.
        name: &'static str,
        /// The expression that a line must match.
        expected: &'static str,
    },
    /// Runs a command whose result does not matter.
    Quietly(&'static str),
    /// Sets a variable to what a command prints.
    Set(&'static str, &'static str),
    /// Writes a file, whose path may contain variables.
    File(&'static str, &'static str),
    /// Writes a part of the documentation in the package to a file: the first block in a language below a heading
    /// of a page.
    Excerpt(&'static str, &'static str, &'static str, &'static str),
    /// Makes preparations that are not a command.
    Prepare(fn(&mut Session) -> Result<(), String>),
    /// Steps that apply only to some runs.
    When(fn(Facts) -> bool, &'static [Step]),
    /// Steps that need a whole machine.
    Machine(&'static [Step]),
    /// Steps that several groups share.
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
    /// The names of those scenarios among these steps that apply to a run, and what each of them checks.
    pub fn scenarios(steps: &'static [Self], facts: Facts) -> Vec<Self> {
        steps
            .iter()
            .flat_map(|step| match step {
                Self::Check { .. } | Self::Soon { .. } | Self::Also { .. } => vec![*step],
                Self::When(holds, steps) if holds(facts) => Self::scenarios(steps, facts),
                Self::Machine(steps) if facts.machine => Self::scenarios(steps, facts),
                Self::All(steps) => Self::scenarios(steps, facts),
                _ => Vec::new(),
            })
            .collect()
    }

    /// Whether some of these steps need a whole machine.
    fn need_machine(steps: &[Self], facts: Facts) -> bool {
        steps.iter().any(|step| match step {
            Self::Machine(_) => true,
            Self::When(holds, steps) => holds(facts) && Self::need_machine(steps, facts),
            Self::All(steps) => Self::need_machine(steps, facts),
            _ => false,
        })
    }
}

impl Group {
    /// Whether some of its scenarios need a whole machine.
    pub(super) fn needs_machine(&self, facts: Facts) -> bool {
        Step::need_machine(self.steps, facts)
    }
}
