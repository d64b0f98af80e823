//! What `--help` prints.

use std::fmt::Write as _;

use super::command::{COMMANDS, Definition};

/// The commands by what they are for; the first of each line is the heading.
const GROUPS: &[(&str, &[&str])] = &[
    ("LIFECYCLE OF A CONTAINER", &["run", "create", "start", "exec", "kill", "delete"]),
    ("INSPECTING CONTAINERS", &["list", "state", "ps", "events", "stats"]),
    ("MANAGING RUNNING CONTAINERS", &["pause", "resume", "update", "checkpoint", "restore"]),
    ("BUNDLE AND HOST", &["image", "spec", "adapt", "doctor", "features", "profile", "hook"]),
    ("ABOUT THE PROGRAM", &["help", "man", "completion"]),
];

/// The layout for one command.
pub(super) fn of_command(program: &str, definition: &Definition) -> String {
    format!(
        "NAME:\n   {program} {} - {{about}}\n\nUSAGE:\n   {{usage}}\n\n{{all-args}}\n\n`{program} --help` lists \
         the global options.\n{{after-help}}",
        definition.name
    )
}

/// The layout for the whole program.
pub(super) fn of_program(program: &str) -> String {
    let mut text = format!(
        "NAME:\n   {program} - {{about}}\n\nUSAGE:\n   {program} [GLOBAL OPTIONS] COMMAND [OPTIONS] [ARGUMENTS]\n"
    );
    for (heading, names) in GROUPS {
        let commands = names.iter().filter_map(|name| COMMANDS.iter().find(|d| d.name == *name));
        for (index, command) in commands.enumerate() {
            if index == 0 {
                let _ = write!(text, "\n{heading}:\n");
            }
            let _ = writeln!(text, "   {:<12} {}", command.name, command.about);
        }
    }
    let _ = write!(
        text,
        "\nGLOBAL OPTIONS, before or after the command:\n{{options}}\n\n`{program} COMMAND --help` explains a command.\n"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        for command in COMMANDS {
            let groups = GROUPS.iter().filter(|(_, names)| names.contains(&command.name)).count();
            assert_eq!(groups, 1, "{}", command.name);
        }
    }
}
