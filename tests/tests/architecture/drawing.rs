//! Parses the drawings in docs/architecture.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rootling_tests::source;

/// Pairs of crates: the first depends on the second.
pub(crate) type Arrows = BTreeSet<(String, String)>;

/// The layers of each crate from the top, each with its modules.
pub(crate) type Floors = BTreeMap<String, Vec<BTreeSet<String>>>;

/// The contents of the block below `heading` that begins with this fence.
fn block(text: &str, heading: &str, fence: &str) -> String {
    let below = text.split(&format!("\n## {heading}\n")).nth(1);
    let below = below.and_then(|section| section.split("\n## ").next());
    let block = below.and_then(|section| section.split(&format!("\n{fence}\n")).nth(1));
    let block = block.and_then(|rest| rest.split("\n```").next());
    block.unwrap_or_else(|| panic!("docs/architecture.md has no {fence} below {heading:?}")).to_owned()
}

fn text() -> String {
    fs::read_to_string(source("docs/architecture.md")).expect("docs/architecture.md")
}

/// The arrows in the graph of crates.
pub(crate) fn of_crates() -> Arrows {
    arrows(&block(&text(), "Layers", "```mermaid"))
}

/// Parses `a --> b & c` in Mermaid's syntax.
fn arrows(mermaid: &str) -> Arrows {
    let mut arrows = Arrows::new();
    for line in mermaid.lines() {
        let Some((from, to)) = line.split_once("-->") else { continue };
        for to in to.split('&') {
            arrows.insert((from.trim().to_owned(), to.trim().to_owned()));
        }
    }
    arrows
}

/// The layers of modules.
pub(crate) fn of_modules() -> Floors {
    floors(&block(&text(), "Modules", "```text"))
}

/// Parses layers: a line without indentation names a crate, and an indented one is a layer.
fn floors(drawn: &str) -> Floors {
    let mut floors = Floors::new();
    let mut current = String::new();
    for line in drawn.lines().filter(|line| !line.is_empty()) {
        let names = line.split_whitespace().map(str::to_owned);
        if line.starts_with(' ') {
            floors.entry(current.clone()).or_default().push(names.collect());
        } else {
            line.trim().clone_into(&mut current);
        }
    }
    floors
}

/// The layers in the form in which they are drawn, for a message.
pub(crate) fn show(floors: &[BTreeSet<String>]) -> String {
    let line = |floor: &BTreeSet<String>| {
        let names: Vec<&str> = floor.iter().map(String::as_str).collect();
        format!("    {}\n", names.join(" "))
    };
    floors.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawings_are_read() {
        let section = "# A\n\n## Layers\n\ntext\n\n```mermaid\nflowchart TD\n  a[\"crates/a\"]\n  a --> b & c\n```\n\n## B\n";
        let expected = [("a", "b"), ("a", "c")].map(|(from, to)| (from.to_owned(), to.to_owned()));
        assert_eq!(arrows(&block(section, "Layers", "```mermaid")), Arrows::from(expected));
        let drawn = floors("one\n    a b\n    c\n\ntwo\n    d\n");
        assert_eq!(show(&drawn["one"]), "    a b\n    c\n");
        assert_eq!(show(&drawn["two"]), "    d\n");
    }
}
