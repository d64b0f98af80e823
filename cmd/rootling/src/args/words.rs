//! Processes the words of the command line before they are parsed: converts spellings that runc's parser accepts
//! and ours does not, and finds the command.

use std::ffi::OsString;

use clap::{Arg, Command};

/// Whether [`rewritten`] may have to change the spelling of a word: a long option with a single dash, or a switch
/// with a value.
pub(super) fn unusual(args: &[OsString]) -> bool {
    args.iter().skip(1).filter_map(|word| word.to_str()).take_while(|word| *word != "--").any(|word| {
        let one_dash = word.len() > 2 && word.starts_with('-') && !word.starts_with("--");
        one_dash || word.ends_with("=true") || word.ends_with("=false")
    })
}

/// The same words with `-bundle` changed to `--bundle` and `--detach=true` to `--detach`, and without
/// `--detach=false`. What comes after the arguments of `definition` belongs to the container and is left alone.
pub(super) fn rewritten(definition: &Command, args: &[OsString]) -> Vec<OsString> {
    let mut walk = Walk { definition, command: None, positionals: 0, value_next: true };
    let mut end = false;
    args.iter()
        .filter_map(|word| {
            if !end && let Some(text) = word.to_str() {
                end = text == "--" || walk.in_the_containers();
                if !end {
                    return walk.word(text).map(OsString::from);
                }
            }
            Some(word.clone())
        })
        .collect()
}

/// The word that names the command.
pub(super) fn command<'a>(definition: &Command, args: &'a [OsString]) -> Option<&'a str> {
    let mut walk = Walk { definition, command: None, positionals: 0, value_next: true };
    args.iter().filter_map(|word| word.to_str()).find(|text| {
        let before = walk.value_next;
        walk.word(text);
        !before && (walk.command.is_some() || walk.positionals > 0)
    })
}

/// Whether these are long options of `definition` and nothing else, each with its value, so that the next word is neither.
pub(super) fn are_options(definition: &Command, words: &[OsString]) -> bool {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(name) = word.to_str().and_then(|text| text.strip_prefix("--")) else { return false };
        let (name, value) = name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
        let Some(option) = definition.get_arguments().find(|arg| arg.get_long() == Some(name)) else {
            return false;
        };
        let is_whole = match (option.get_action().takes_values(), value) {
            (true, None) => words.next().is_some(),
            (takes, value) => takes == value.is_some(),
        };
        if !is_whole || value_is_optional(option) {
            return false;
        }
    }
    true
}

/// Whether the value of an option may be omitted, so that the next word is not its value.
pub(super) fn value_is_optional(option: &Arg) -> bool {
    option.get_num_args().is_some_and(|count| count.min_values() == 0)
}

struct Walk<'a> {
    definition: &'a Command,
    command: Option<&'a Command>,
    positionals: usize,
    /// Whether the next word is the value of an option; the program's name counts as one.
    value_next: bool,
}

impl<'a> Walk<'a> {
    /// Processes a word; returns the changed word, if it is kept.
    fn word(&mut self, text: &str) -> Option<String> {
        if std::mem::take(&mut self.value_next) {
            return Some(text.to_owned());
        }
        if text.len() < 2 || !text.starts_with('-') {
            self.positional(text);
            return Some(text.to_owned());
        }
        let (name, value) = match text.trim_start_matches('-').split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text.trim_start_matches('-'), None),
        };
        let Some(option) = self.long(name).filter(|_| name.len() > 1) else {
            // A group of short options, the last of which may take the next word.
            let takes = |c: char| self.short(c).is_some_and(|a| a.get_action().takes_values());
            self.value_next = !text.starts_with("--")
                && value.is_none()
                && name.chars().position(takes) == Some(name.len() - 1);
            return Some(text.to_owned());
        };
        if option.get_action().takes_values() {
            self.value_next = value.is_none() && !value_is_optional(option);
            return Some(format!("--{}", text.trim_start_matches('-')));
        }
        match value {
            Some("true" | "1" | "t" | "T" | "TRUE" | "True") | None => Some(format!("--{name}")),
            Some("false" | "0" | "f" | "F" | "FALSE" | "False") => None,
            Some(_) => Some(text.to_owned()),
        }
    }

    fn positional(&mut self, text: &str) {
        if self.command.is_some() {
            self.positionals += 1;
        } else {
            self.command = self.definition.find_subcommand(text);
            self.positionals = usize::from(self.command.is_none());
        }
    }

    /// Whether what follows is passed on, such as the program of `exec` and its arguments.
    fn in_the_containers(&self) -> bool {
        self.command.is_some_and(|command| {
            let passes = command.get_positionals().any(Arg::is_trailing_var_arg_set);
            passes && self.positionals >= command.get_positionals().count().saturating_sub(1).max(1)
        })
    }

    fn long(&self, name: &str) -> Option<&'a Arg> {
        self.options().find(|arg| arg.get_long_and_visible_aliases().is_some_and(|all| all.contains(&name)))
    }

    fn short(&self, name: char) -> Option<&'a Arg> {
        self.options().find(|arg| arg.get_short() == Some(name))
    }

    fn options(&self) -> impl Iterator<Item = &'a Arg> + use<'a> {
        self.command.into_iter().flat_map(Command::get_arguments).chain(self.definition.get_arguments())
    }
}

#[cfg(test)]
mod tests {
    use clap::{ArgAction, arg};

    use super::*;

    fn definition() -> Command {
        Command::new("p").arg(arg!(--root <DIR>)).arg(arg!(--debug)).subcommand(
            Command::new("exec")
                .arg(arg!(-e --env <VAR>).action(ArgAction::Append))
                .arg(arg!(-d - -detach))
                .arg(arg!(-t - -tty))
                .arg(arg!(<id>))
                .arg(arg!([args] ...).trailing_var_arg(true).allow_hyphen_values(true)),
        )
    }

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn spellings_of_runcs_parser_become_ours() {
        for (line, expected) in [
            ("p -root r exec -env A=-debug c", "p --root r exec --env A=-debug c"),
            ("p --debug=true exec --detach=false c", "p --debug exec c"),
            ("p -debug exec -e -tty c", "p --debug exec -e -tty c"),
            ("p exec -td c", "p exec -td c"),
            ("p exec c sh -debug --detach=false", "p exec c sh -debug --detach=false"),
            ("p exec c -- -debug", "p exec c -- -debug"),
        ] {
            assert_eq!(rewritten(&definition(), &words(line)), words(expected), "{line}");
        }
    }

    #[test]
    fn only_unusual_lines_are_rewritten() {
        for (line, unusual) in [
            ("p --root r exec -e A=b c sh", false),
            ("p -root r exec c", true),
            ("p exec --detach=false c", true),
            ("p exec c -- -debug", false),
        ] {
            assert_eq!(super::unusual(&words(line)), unusual, "{line}");
        }
    }

    #[test]
    fn the_value_of_an_option_is_not_the_command() {
        let (line, other) = (words("p --root exec exec c"), words("p --debug nosuch exec"));
        assert_eq!(command(&definition(), &line), Some("exec"));
        assert_eq!(command(&definition(), &other), Some("nosuch"));
        assert_eq!(command(&definition(), &words("p --debug")), None);
    }
}
