//! `completion`: clap's scripts, and what no definition has: the ids of the containers that there are, which the scripts ask
//! `rootling list -q` for.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};
use clap_complete::{Shell, generate};
use rootling_runtime::Result;

use crate::args::{self, whole};
use crate::terminal::print;

const PROGRAM: &str = env!("CARGO_PKG_NAME");

/// What a positional argument is called that is a container.
const ID: &str = "CONTAINER-ID";

/// Commands whose id is that of a container to be made.
const NEW: [&str; 3] = ["run", "create", "restore"];

pub(crate) fn completion(args: &args::Completion) -> Result<()> {
    print(&script(args.shell))
}

fn script(shell: args::Shell) -> String {
    let of_clap = match shell {
        args::Shell::Bash => Shell::Bash,
        args::Shell::Zsh => Shell::Zsh,
        args::Shell::Fish => Shell::Fish,
    };
    let mut text = Vec::new();
    generate(of_clap, &mut whole(PROGRAM), PROGRAM, &mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    match shell {
        args::Shell::Bash => bash(&text),
        args::Shell::Zsh => zsh(&text),
        args::Shell::Fish => fish(text),
    }
}

/// The commands of containers that there are, each with whether it takes several of them.
fn commands(root: &Command) -> impl Iterator<Item = (&Command, bool)> {
    root.get_subcommands().filter(|command| !NEW.contains(&command.get_name())).filter_map(|command| {
        let id = command.get_positionals().next().filter(|arg| is_id(arg))?;
        // Behind the first word of `exec` comes its program.
        let several = matches!(id.get_action(), ArgAction::Append) && !id.is_trailing_var_arg_set();
        Some((command, several))
    })
}

fn is_id(arg: &Arg) -> bool {
    arg.get_value_names().is_some_and(|names| names.first().is_some_and(|name| name == ID))
}

/// A pattern of the options that take the next word.
fn with_values(root: &Command) -> String {
    let options = root.get_subcommands().chain([root]).flat_map(Command::get_opts);
    let options = options.filter(|option| option.get_action().takes_values());
    let mut names: Vec<String> = options
        .flat_map(|option| {
            let short = option.get_short().map(|short| format!("-{short}"));
            short.into_iter().chain(option.get_long().map(|long| format!("--{long}")))
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names.join("|")
}

/// Around the function of clap, whose script names it in its last lines.
fn bash(script: &str) -> String {
    let root = whole(PROGRAM);
    let names = |several: bool| {
        commands(&root)
            .filter(|(_, many)| *many == several)
            .map(|(command, _)| command.get_name())
            .collect::<Vec<_>>()
            .join("|")
    };
    let (one, several, values) = (names(false), names(true), with_values(&root));
    let script = script.replace("complete -F _rootling ", "complete -F _rootling_with_ids ");
    let ids = format!(
        r#"
# Adds the ids of containers where the command takes one.
_rootling_with_ids() {{
    _rootling "$@"
    local cur=${{COMP_WORDS[COMP_CWORD]}} i word command='' ids=0 root=()
    [[ $cur != -* ]] || return 0
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${{COMP_WORDS[i]}}
        case $word in
        --root) root=(--root "${{COMP_WORDS[i + 1]}}") && ((++i)) ;;
        {values}) ((++i)) ;;
        -*) ;;
        *) if [[ -z $command ]]; then command=$word; else ((++ids)); fi ;;
        esac
    done
    # The word is the value of an option.
    ((i == COMP_CWORD)) || return 0
    case $command in
    {several}) ;;
    {one}) ((ids == 0)) || return 0 ;;
    *) return 0 ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$("$1" "${{root[@]}}" list -q 2>/dev/null)" -- "$cur")
}}

"#
    );
    // Before the end, which is what gives the function to the shell.
    let end = script.find("\nif [[ \"${BASH_VERSINFO[0]}\" -eq 4").unwrap_or(script.len());
    format!("{}{ids}{}", &script[..end], &script[end + 1..])
}

/// In the places of arguments that are ids.
fn zsh(script: &str) -> String {
    let mut command = String::new();
    let mut text = String::new();
    for line in script.lines() {
        // `(start)` begins what is for that command.
        if let Some(name) = line.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
            name.clone_into(&mut command);
        }
        let is_id =
            ["':id -- ", "'*::ids -- ", "'*::words -- Id"].iter().any(|begin| line.starts_with(begin));
        if is_id && !NEW.contains(&command.as_str()) {
            let _ = writeln!(text, "{}", line.replace(":_default'", ":_rootling_ids'"));
        } else {
            let _ = writeln!(text, "{line}");
        }
    }
    let ids = "(( $+functions[_rootling_ids] )) ||\n_rootling_ids() {\n    local -a ids\n    ids=(${(f)\"$(rootling ${opt_args[--root]:+--root \
               ${opt_args[--root]}} list -q 2>/dev/null)\"})\n    compadd -a ids\n}\n\n";
    let at = text.find("if [ \"$funcstack[1]\"").unwrap_or(text.len());
    format!("{}{ids}{}", &text[..at], &text[at..])
}

/// A line for each command.
fn fish(mut script: String) -> String {
    for (command, _) in commands(&whole(PROGRAM)) {
        let _ = writeln!(
            script,
            "complete -c rootling -n \"__fish_rootling_using_subcommand {}\" -f -a \"(rootling list -q 2>/dev/null)\"",
            command.get_name()
        );
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_containers_are_told_from_others() {
        let root = whole(PROGRAM);
        let found: Vec<(&str, bool)> =
            commands(&root).map(|(command, several)| (command.get_name(), several)).collect();
        for wanted in [
            ("start", true),
            ("kill", true),
            ("delete", true),
            ("exec", false),
            ("state", false),
            ("stats", true),
        ] {
            assert!(found.contains(&wanted), "{wanted:?} {found:?}");
        }
        assert!(
            found
                .iter()
                .all(|(name, _)| !["run", "create", "restore", "list", "image", "spec"].contains(name)),
            "{found:?}"
        );
    }

    #[test]
    fn each_script_asks_for_ids() {
        let zsh = script(args::Shell::Zsh);
        assert_eq!(zsh.matches(":_rootling_ids'").count(), commands(&whole(PROGRAM)).count());
        assert!(zsh.contains("\n_rootling_ids() {"));
        let fish = script(args::Shell::Fish);
        assert_eq!(fish.matches("(rootling list -q 2>/dev/null)").count(), commands(&whole(PROGRAM)).count());
        let bash = script(args::Shell::Bash);
        assert_eq!(bash.matches("complete -F _rootling_with_ids ").count(), 2);
    }
}
