//! Checks that every option of runc 1.5 exists, and that docs/compatibility.md says so.
//!
//! `ROOTLING_BLESS=1 cargo test parity` rewrites the table.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, ArgAction, Command};

use super::{whole, words};

const RUNC: &str = include_str!("runc_flags.tsv");
const BEGIN: &str = "<!-- options: made by the tests of cmd/rootling, see args/parity.rs -->\n";
const END: &str = "<!-- end of options -->\n";

/// An option of runc, or a command if `option` is empty.
struct Fact<'a> {
    command: &'a str,
    option: &'a str,
    short: &'a str,
    takes: &'a str,
    default: &'a str,
}

fn facts() -> impl Iterator<Item = Fact<'static>> {
    RUNC.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let mut columns = line.split('\t');
        let mut next = || columns.next().unwrap_or_default();
        Fact { command: next(), option: next(), short: next(), takes: next(), default: next() }
    })
}

fn find<'a>(root: &'a Command, command: &str) -> Option<&'a Command> {
    if command == "global" { Some(root) } else { root.find_subcommand(command) }
}

fn long<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    command
        .get_arguments()
        .find(|arg| arg.get_long_and_visible_aliases().is_some_and(|all| all.contains(&name)))
}

fn takes(arg: &Arg) -> &'static str {
    match arg.get_action() {
        ArgAction::Append => "values",
        // An option that may take a value after `=` is a switch, as in runc.
        action if action.takes_values() && !words::value_is_optional(arg) => "value",
        _ => "switch",
    }
}

/// How the definition differs from the fact.
fn difference(root: &Command, fact: &Fact<'_>) -> Option<String> {
    let Some(command) = find(root, fact.command) else { return Some("no such command".into()) };
    if fact.option.is_empty() {
        return None;
    }
    let Some(arg) = long(command, fact.option) else { return Some("no such option".into()) };
    if !fact.short.is_empty() && arg.get_short() != fact.short.chars().next() {
        return Some(format!("no -{}", fact.short));
    }
    if takes(arg) != fact.takes {
        return Some(format!("takes {}", takes(arg)));
    }
    let default = arg.get_default_values().first().and_then(|value| value.to_str()).unwrap_or_default();
    // Each runtime keeps its state in a different place.
    (!fact.default.is_empty() && fact.option != "root" && fact.default != default)
        .then(|| format!("default {default:?}"))
}

/// The options that runc does not have.
fn own(root: &Command, command: &str) -> Vec<String> {
    let Some(found) = find(root, command) else { return Vec::new() };
    let known = |arg: &Arg| facts().any(|f| f.command == command && arg.get_long() == Some(f.option));
    found
        .get_arguments()
        .filter(|arg| {
            !arg.is_hide_set() && !known(arg) && arg.get_long().is_some_and(|n| n != "help" && n != "version")
        })
        .map(spelt)
        .collect()
}

fn spelt(arg: &Arg) -> String {
    let long = arg.get_long().map(|name| format!("`--{name}`")).unwrap_or_default();
    arg.get_short().map_or(long.clone(), |short| format!("`-{short}`, {long}"))
}

/// The table of docs/compatibility.md.
fn table(root: &Command) -> String {
    let mut text = String::from(
        "| command | options of runc 1.5, all supported unless noted | additional options |\n|---|---|---|\n",
    );
    let mut commands: Vec<&str> = facts().filter(|f| f.option.is_empty()).map(|f| f.command).collect();
    commands.extend(
        root.get_subcommands().map(Command::get_name).filter(|name| facts().all(|f| f.command != *name)),
    );
    for command in commands {
        let options = facts().filter(|f| f.command == command && !f.option.is_empty()).map(|f| {
            let short = if f.short.is_empty() { String::new() } else { format!("`-{}`, ", f.short) };
            let missing = difference(root, &f).map(|what| format!(" ({what})")).unwrap_or_default();
            format!("{short}`--{}`{missing}", f.option)
        });
        let options: Vec<String> = options.collect();
        let name = if find(root, command).is_none() {
            format!("`{command}` (missing)")
        } else {
            format!("`{command}`")
        };
        let _ = writeln!(text, "| {name} | {} | {} |", options.join(", "), own(root, command).join(", "));
    }
    text
}

#[test]
fn every_option_of_runc_is_here() {
    let root = whole("rootling");
    let missing: Vec<&str> = facts()
        .filter(|f| f.option.is_empty() && find(&root, f.command).is_none())
        .map(|f| f.command)
        .collect();
    assert!(missing.is_empty(), "commands of runc's that are not here: {missing:?}");
    let differences: Vec<String> = facts()
        .filter_map(|f| difference(&root, &f).map(|what| format!("{} --{}: {what}", f.command, f.option)))
        .collect();
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn the_table_of_the_documentation_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compatibility.md");
    let text = std::fs::read_to_string(&path).expect("docs/compatibility.md");
    let (before, rest) = text.split_once(BEGIN).expect("the mark before the table");
    let (_, after) = rest.split_once(END).expect("the mark after the table");
    let current = format!("{before}{BEGIN}\n{}\n{END}{after}", table(&whole("rootling")));
    if std::env::var_os("ROOTLING_BLESS").is_some() {
        std::fs::write(&path, &current).expect("write docs/compatibility.md");
    }
    let found = std::fs::read_to_string(&path).expect("docs/compatibility.md");
    assert!(found == current, "docs/compatibility.md is not current: ROOTLING_BLESS=1 cargo test parity");
}
