//! `completion`: clap's scripts, extended by what no definition contains: the ids of existing containers, for which
//! the scripts run `rootling list -q`.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};
use clap_complete::{Shell, generate};
use rootling_runtime::Result;

use crate::args::{self, whole};
use crate::terminal::print;

const PROGRAM: &str = env!("CARGO_PKG_NAME");

/// The name of a positional argument that is a container.
const ID: &str = "CONTAINER-ID";

/// Commands whose id is that of a new container.
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

/// The commands for existing containers, each with whether it takes several of them.
fn commands(root: &Command) -> impl Iterator<Item = (&Command, bool)> {
    root.get_subcommands().filter(|command| !NEW.contains(&command.get_name())).filter_map(|command| {
        let id = command.get_positionals().next().filter(|arg| is_id(arg))?;
        // The words after the first one of `exec` are its program.
        let several = matches!(id.get_action(), ArgAction::Append) && !id.is_trailing_var_arg_set();
        Some((command, several))
    })
}

fn is_id(arg: &Arg) -> bool {
    arg.get_value_names().is_some_and(|names| names.first().is_some_and(|name| name == ID))
}

/// The options that take the next word as their value.
fn with_values(root: &Command) -> Vec<String> {
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
    names
}

/// The names of the commands that take several ids, or only one.
fn names(root: &Command, several: bool) -> Vec<&str> {
    commands(root).filter(|(_, many)| *many == several).map(|(command, _)| command.get_name()).collect()
}

/// Wraps clap's function, whose script names it in its last lines.
fn bash(script: &str) -> String {
    let root = whole(PROGRAM);
    let (one, several) = (names(&root, false).join("|"), names(&root, true).join("|"));
    let values = with_values(&root).join("|");
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
        {values})
            # `=` is a word of its own.
            ((++i))
            [[ ${{COMP_WORDS[i]}} != = ]] || ((++i))
            [[ $word != --root ]] || root=(--root "${{COMP_WORDS[i]}}")
            ;;
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
    // Before the end, which passes the function to the shell.
    let end = script.find("\nif [[ \"${BASH_VERSINFO[0]}\" -eq 4").unwrap_or(script.len());
    format!("{}{ids}{}", &script[..end], &script[end + 1..])
}

/// Inserted where an argument is an id.
fn zsh(script: &str) -> String {
    let root = whole(PROGRAM);
    let several = names(&root, true);
    let mut command = String::new();
    let mut text = String::new();
    for line in script.lines() {
        // `(start)` begins the part for that command.
        if let Some(name) = line.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
            name.clone_into(&mut command);
        }
        let is_id =
            ["':id -- ", "'*::ids -- ", "'*::words -- Id"].iter().any(|begin| line.starts_with(begin));
        if is_id && !NEW.contains(&command.as_str()) {
            let function = if several.contains(&command.as_str()) { "_rootling_ids" } else { "_rootling_id" };
            let _ = writeln!(text, "{}", line.replace(":_default'", &format!(":{function}'")));
        } else {
            let _ = writeln!(text, "{line}");
        }
    }
    // The words of the whole line are available only at the beginning.
    let text = text.replacen("    local ret=1\n", ZSH_ROOT, 1);
    let at = text.find("if [ \"$funcstack[1]\"").unwrap_or(text.len());
    format!("{}{ZSH_IDS}{}", &text[..at], &text[at..])
}

const ZSH_ROOT: &str = r#"    local ret=1
    local -a _rootling_root
    local -i at=${words[(I)--root]}
    if (( at && at + 1 < CURRENT )); then
        _rootling_root=(--root "${(Q)words[at + 1]}")
    elif (( at = ${words[(I)--root=*]} )); then
        _rootling_root=("${(Q)words[at]}")
    fi
"#;

const ZSH_IDS: &str = r#"(( $+functions[_rootling_ids] )) ||
_rootling_ids() {
    local -a ids
    ids=(${(f)"$(rootling $_rootling_root list -q 2>/dev/null)"})
    compadd -a ids
}
# Behind the id come the program and its arguments.
(( $+functions[_rootling_id] )) ||
_rootling_id() {
    if [[ $curcontext == *-command-exec:* ]] && (( CURRENT > 1 )); then
        _default
    else
        _rootling_ids
    fi
}

"#;

/// Adds a function, and a line for each command that calls it.
fn fish(mut script: String) -> String {
    let root = whole(PROGRAM);
    let (one, several) = (names(&root, false).join(" "), names(&root, true).join(" "));
    let values = with_values(&root).join(" ");
    let _ = write!(
        script,
        r#"
# Prints the ids of containers where the command takes one.
function __rootling_ids
    set -l root
    set -l command ''
    set -l ids 0
    set -l option ''
    for word in (commandline -opc)[2..-1]
        if test -n "$option"
            test "$option" = --root; and set root --root $word
            set option ''
            continue
        end
        switch $word
            case {values}
                set option $word
            case '--root=*'
                set root $word
            case '-*'
            case '*'
                if test -z "$command"
                    set command $word
                else
                    set ids (math $ids + 1)
                end
        end
    end
    # The word is the value of an option.
    test -z "$option"; or return
    switch "$command"
        case {several}
        case {one}
            test $ids -eq 0; or return
        case '*'
            return
    end
    rootling $root list -q 2>/dev/null
end
"#
    );
    for (command, _) in commands(&root) {
        let _ = writeln!(
            script,
            "complete -c rootling -n \"__fish_rootling_using_subcommand {}\" -f -a \"(__rootling_ids)\"",
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
        let places = [":_rootling_ids'", ":_rootling_id'"].map(|function| zsh.matches(function).count());
        assert_eq!(places.iter().sum::<usize>(), commands(&whole(PROGRAM)).count());
        assert!(zsh.contains("\n_rootling_ids() {") && zsh.contains("local -i at=${words[(I)--root]}"));
        let fish = script(args::Shell::Fish);
        assert!(fish.contains("\nfunction __rootling_ids\n"));
        assert_eq!(fish.matches("-a \"(__rootling_ids)\"").count(), commands(&whole(PROGRAM)).count());
        let bash = script(args::Shell::Bash);
        assert_eq!(bash.matches("complete -F _rootling_with_ids ").count(), 2);
    }
}
