//! Runs the examples in the documentation by typing them into a shell, as a reader does.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::{Test, source};

/// A fenced block of commands on a page.
#[derive(Debug)]
pub struct Block {
    /// The page and the line, as in `docs/spec.md:7`.
    pub place: String,
    /// Its commands, in order.
    pub examples: Vec<Example>,
}

/// A command, with the output that the page shows.
#[derive(Debug)]
pub struct Example {
    /// The text before `$` or `#`: the user's name if the page distinguishes users.
    pub prompt: String,
    /// What is typed, either one line or a whole script.
    pub command: String,
    /// The lines below it.
    pub expected: String,
}

/// The result of an example.
#[derive(Debug)]
pub struct Ran<'a> {
    place: &'a str,
    example: &'a Example,
    /// Both output streams, as a terminal shows them.
    pub printed: String,
    code: i32,
}

/// The commands on a page of the project, from all blocks for a shell.
#[must_use]
pub fn blocks(page: &str) -> Vec<Block> {
    let text = fs::read_to_string(source(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    let fences = fences(&text).into_iter();
    fences.filter_map(|(line, language, lines)| block(format!("{page}:{line}"), language, &lines)).collect()
}

/// The language and the text of each fenced block on a page.
#[must_use]
pub fn fenced(page: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(source(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    let block = |(_, language, lines): (usize, &str, Vec<&str>)| {
        (language.to_owned(), lines.iter().flat_map(|line| [line, "\n"]).collect())
    };
    fences(&text).into_iter().map(block).collect()
}

/// Each fenced block: the number of its first line, its language, and its lines.
fn fences(text: &str) -> Vec<(usize, &str, Vec<&str>)> {
    let mut found = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
            found.push((number + 1, language, inside.collect()));
        }
    }
    found
}

fn block(place: String, language: &str, lines: &[&str]) -> Option<Block> {
    let examples = match language {
        "console" => typed(&place, lines),
        "sh" => vec![Example { prompt: String::new(), command: lines.join("\n"), expected: String::new() }],
        other => {
            let command = lines.iter().find(|line| line.starts_with("$ "));
            assert!(command.is_none(), "{place}: a command in a block of {other:?}, where none is run");
            return None;
        }
    };
    Some(Block { place, examples })
}

/// The commands of a session with their output. A command follows `$ ` or `# `, with or without a name before that.
fn typed(place: &str, lines: &[&str]) -> Vec<Example> {
    let mut all: Vec<Example> = Vec::new();
    for line in lines {
        let prompt = line.split_once(' ').filter(|(word, _)| {
            let name = word.strip_suffix(['$', '#']);
            name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_lowercase()))
        });
        match (prompt, all.last_mut()) {
            (Some((prompt, command)), _) => {
                let (prompt, command) = (prompt.to_owned(), command.to_owned());
                all.push(Example { prompt, command, expected: String::new() });
            }
            (None, Some(last)) => last.expected.extend([line, "\n"]),
            (None, None) => panic!("{place}: output before a command: {line}"),
        }
    }
    all
}

impl Block {
    /// Whether the page shows the output of any command; otherwise it leaves out the output of all of them.
    #[must_use]
    pub fn shows_output(&self) -> bool {
        self.examples.iter().any(|example| !example.expected.is_empty())
    }

    /// Types everything into one shell, which starts in `dir` with these variables.
    #[must_use]
    pub fn run(&self, test: &Test, dir: &Path, variables: &[(&str, &OsStr)]) -> Vec<Ran<'_>> {
        let script = self.script(test.binary(), &test.state_root(), &|example| example.command.clone());
        let shell = test.command("bash").arg("-c").arg(script).dir(dir);
        let shell = variables.iter().fold(shell, |shell, (name, value)| shell.env(name, value));
        self.judge(&shell.output().stdout)
    }

    /// The block as a script whose output [`Block::judge`] reads, with each command as returned by `typed`.
    /// `rootling` is the binary, with this state directory.
    pub fn script(&self, binary: &Path, state: &Path, typed: &dyn Fn(&Example) -> String) -> String {
        let (bin, root) = (binary.display(), state.display());
        let mut script = format!(
            "exec 2>&1\nrootling() {{ case $1 in --root) {bin} \"$@\";; *) {bin} --root {root} \"$@\";; esac; }}\n",
        );
        for example in &self.examples {
            script.extend([&typed(example), "\nprintf '\\0%d\\0' $?\n"]);
        }
        script
    }

    /// What each command has printed, and how it ended.
    #[must_use]
    pub fn judge(&self, output: &str) -> Vec<Ran<'_>> {
        let mut parts = output.split('\0');
        let mut ran = Vec::new();
        for example in &self.examples {
            let Some((printed, code)) = parts.next().zip(parts.next()) else {
                panic!("{}: the shell ended at {:?}: {output}", self.place, example.command);
            };
            let code = code.parse().expect("an exit code");
            ran.push(Ran { place: &self.place, example, printed: printed.to_owned(), code });
        }
        ran
    }
}

impl Ran<'_> {
    /// Asserts that it exited with 0, unless the page shows an error of ours.
    pub fn ended_as_shown(&self) {
        let fails = self.example.expected.starts_with("rootling: ");
        assert!((self.code != 0) == fails, "exit {}: {self}", self.code);
    }

    /// Asserts that the page shows what was printed, where `...` stands for anything. The columns of a table are as
    /// wide as their contents on this machine.
    pub fn printed_as_shown(&self) {
        let (page, printed) = (narrow(&self.example.expected), narrow(&self.printed));
        assert!(matches(&page, &printed), "the page shows something else: {self}");
    }
}

impl std::fmt::Display for Ran<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { place, example: Example { command, expected, .. }, printed, .. } = self;
        write!(f, "{place}: {command}\nthe page:\n{expected}\nprinted:\n{printed}")
    }
}

/// Replaces several spaces with one.
fn narrow(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "));
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether the text matches the pattern, in which `...` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.trim_end().split("...");
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.trim_end().strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    for (index, part) in parts.iter().enumerate() {
        if index + 1 == parts.len() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}
