//! Completion of container ids in the shells: each shell itself executes its script.

use std::fs;
use std::os::unix::fs::symlink;

use rootling_tests::{Cmd, Test, both, skip};

both!(bash_completes_ids, zsh_completes_ids, fish_completes_ids);

/// What a shell offers for the last of these words after `rootling --root STATE`, sorted.
type Offer = fn(&Test, &[&str]) -> Vec<String>;

fn bash_completes_ids(t: &Test) {
    completes_ids(t, "bash", bash);
}

fn zsh_completes_ids(t: &Test) {
    completes_ids(t, "zsh", zsh);
}

fn fish_completes_ids(t: &Test) {
    completes_ids(t, "fish", fish);
}

fn completes_ids(t: &Test, shell: &str, offered: Offer) {
    if t.command("sh").args(&["-c", &format!("command -v {shell}")]).output().exit() != 0 {
        return skip(&format!("{shell} is not installed"));
    }
    let script = t.rootling(&["completion", shell]).output().ok().stdout;
    fs::write(t.path("completion"), script).expect("write the script");
    fs::create_dir(t.path("bin")).expect("make a directory");
    symlink(t.binary(), t.path("bin/rootling")).expect("link to the program");
    let bundle = t.bundle(&["sleep", "1000"]);
    bundle.write();
    let ids = ["a", "b"].map(|name| {
        t.create(&bundle, name).ok();
        t.id(name)
    });
    for words in [
        &["start", ""][..],
        &["start", &ids[1][..ids[1].len() - 1]],
        &["exec", "--tty", ""],
        &["kill", &ids[0], ""],
        &["delete", "--force", ""],
        &["update", "--memory", "1g", ""],
    ] {
        let found: Vec<String> = offered(t, words).into_iter().filter(|word| ids.contains(word)).collect();
        assert_eq!(found, ids, "{shell}: {words:?}");
    }
    assert_eq!(offered(t, &["state", &ids[1]]), [ids[1].as_str()], "{shell}");
    for words in [&["run", ""][..], &["exec", &ids[0], ""], &["state", &ids[0], ""], &["exec", "--cwd", ""]] {
        let found = offered(t, words);
        assert!(!found.contains(&ids[0]) && !found.contains(&ids[1]), "{shell}: {words:?}: {found:?}");
    }
    let found = offered(t, &["delete", "--f"]);
    assert!(found.contains(&"--force".to_owned()), "{shell}: {found:?}");
    t.rootling(&["delete", "--force"]).args(&ids).output().ok();
}

/// A shell that executes a script of this test, with the words as its arguments.
fn shell(t: &Test, program: &[&str], script: &str, words: &[&str]) -> Cmd {
    let path = format!("{}:{}", t.path("bin").display(), std::env::var("PATH").unwrap_or_default());
    let command = t.command(program[0]).args(&program[1..]).arg(script).arg(t.state_root()).args(words);
    command.env("PATH", path).env("HOME", t.path(""))
}

fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

fn bash(t: &Test, words: &[&str]) -> Vec<String> {
    let script = r#"source completion
        COMP_WORDS=(rootling --root "$0" "$@") COMP_CWORD=$(($# + 2))
        _rootling_with_ids rootling "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    sorted(&shell(t, &["bash", "-c"], script, words).output().ok().stdout)
}

/// In a terminal of its own, since zsh completes only there. What the completion functions add is printed between
/// two marks, in place of what the terminal would show.
fn zsh(t: &Test, words: &[&str]) -> Vec<String> {
    let inner = r#"PROMPT= RPROMPT=
        autoload -Uz compinit && compinit -u -D && source ./completion
        compadd() {
            if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
            local -a hits; builtin compadd -A hits "$@"
            (( $#hits )) && print -rl -- "hit:"${^hits}
            builtin compadd "$@"
        }
        mark() { print -r -- "mark:" }
        done_() { print -r -- "end:"; exit }
        compprefuncs=(mark) comppostfuncs=(done_)
        bindkey '^I' complete-word; zstyle ':completion:*' list-colors ''; unsetopt beep"#;
    fs::write(t.path("inner.zsh"), inner).expect("write a script");
    let script = r#"zmodload zsh/zpty || exit 9
        zpty z TERM=dumb zsh -f -i
        zpty -w z 'source ./inner.zsh && print rea""dy'
        zpty -r z text $'*ready\r\n*' || exit 8
        zpty -w -n z "rootling --root ${(q)0} ${(j: :)@}"$'\t'
        while zpty -r z text $'*\n'; do
            text=${text%%$'\r'#$'\n'}
            [[ $text == *hit:* ]] && print -r -- ${text##*hit:}
            [[ $text == *end:* ]] && exit 0
        done
        exit 7"#;
    sorted(&shell(t, &["zsh", "-f", "-c"], script, words).output().ok().stdout)
}

fn fish(t: &Test, words: &[&str]) -> Vec<String> {
    let line = format!("rootling --root {} {}", t.state_root().display(), words.join(" "));
    let script = format!("source completion; complete -C '{line}'");
    let output = shell(t, &["fish", "--no-config", "-c"], &script, &[]).output().ok();
    // A description follows a tab.
    let words = output.stdout.lines().map(|line| line.split('\t').next().unwrap_or_default());
    sorted(&words.collect::<Vec<_>>().join("\n"))
}
