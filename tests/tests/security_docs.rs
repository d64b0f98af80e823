//! Compares docs/security.md with the tests: what it promises names a test, and the test exists.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rootling_tests::source;

/// The names of all functions in the sources below `dir`, by file.
fn functions(dir: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{dir:?}: {error}")) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            functions(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let text = fs::read_to_string(&path).expect("read a source");
            found.insert(path.to_string_lossy().into_owned(), text);
        }
    }
}

/// The contents of all sources, by path.
struct Sources(BTreeMap<String, String>);

impl Sources {
    fn read() -> Self {
        let mut found = BTreeMap::new();
        for dir in ["crates", "cmd", "tests/tests"] {
            functions(&source(dir), &mut found);
        }
        Self(found)
    }

    /// Whether a test with this name is in the file with this name, or in any file.
    fn have(&self, name: &str, file: Option<&str>) -> bool {
        let function = format!("fn {name}(");
        self.0.iter().any(|(path, text)| {
            file.is_none_or(|file| path.ends_with(&format!("tests/tests/{file}"))) && text.contains(&function)
        })
    }

    fn have_file(&self, file: &str) -> bool {
        self.0.keys().any(|path| path.ends_with(&format!("tests/tests/{file}")))
    }
}

/// What a piece of the text refers to: tests with their files, unit tests, and whole files.
#[derive(Debug, Default)]
struct References {
    tests: Vec<(String, String)>,
    units: Vec<String>,
    files: Vec<String>,
}

impl References {
    fn of(text: &str) -> Self {
        let mut found = Self::default();
        let mut waiting = Vec::new();
        let text = text.replace('\n', " ");
        let (mut before, mut before_that) = ("", "");
        for word in text.split(' ') {
            let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            if let Some(name) = test_name(word) {
                if before.trim_start_matches('(') == "unit" {
                    found.units.push(name.to_owned());
                } else {
                    waiting.push(name.to_owned());
                }
            } else if is_source(bare) && !word.contains('`') {
                if before == "of" && before_that.ends_with("all") {
                    found.files.push(bare.to_owned());
                } else if before == "and" && waiting.is_empty() {
                    // "all of a.rs and b.rs"
                    found.files.push(bare.to_owned());
                }
                found.tests.extend(waiting.drain(..).map(|name| (name, bare.to_owned())));
            }
            (before_that, before) = (before, word);
        }
        // No file was named for these.
        found.tests.extend(waiting.into_iter().map(|name| (name, String::new())));
        found
    }

    fn is_empty(&self) -> bool {
        self.tests.is_empty() && self.units.is_empty() && self.files.is_empty()
    }
}

fn is_source(word: &str) -> bool {
    !word.contains('/') && Path::new(word).extension().is_some_and(|kind| kind == "rs")
}

/// The name in `` `some_test_of_this_name` ``; other code has fewer words or other letters.
fn test_name(word: &str) -> Option<&str> {
    let name = word.split('`').nth(1)?;
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    (plain && name.matches('_').count() >= 2).then_some(name)
}

fn text() -> String {
    fs::read_to_string(source("docs/security.md")).expect("docs/security.md")
}

/// The part below a heading.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start = text.find(&format!("## {heading}\n")).unwrap_or_else(|| panic!("no section {heading:?}"));
    let rest = &text[start + 3..];
    &rest[..rest.find("\n## ").unwrap_or(rest.len())]
}

#[test]
fn docs_of_security_name_tests_that_exist() {
    let (text, sources) = (text(), Sources::read());
    let found = References::of(&text);
    assert!(found.tests.len() > 80 && found.units.len() > 5 && found.files.len() > 5, "{found:?}");
    for (name, file) in &found.tests {
        assert!(!file.is_empty(), "{name}: no file is named for it");
        assert!(sources.have(name, Some(file)), "{name} is not in tests/tests/{file}");
    }
    for name in &found.units {
        assert!(sources.have(name, None), "there is no unit test {name}");
    }
    for file in &found.files {
        assert!(sources.have_file(file), "there is no tests/tests/{file}");
    }
    assert!(!text.to_lowercase().contains("no test"), "something has no test");
}

#[test]
fn each_rule_names_a_test() {
    let text = text();
    let paragraphs: Vec<&str> = section(&text, "Rules").split("\n\n").skip(1).collect();
    assert!(paragraphs.len() > 20, "{}", paragraphs.len());
    for paragraph in paragraphs {
        assert!(!References::of(paragraph).is_empty(), "no test is named in: {paragraph}");
    }
}

#[test]
fn each_property_and_each_vulnerability_names_a_test_or_says_why_it_cannot_apply() {
    let text = text();
    for (heading, head, least) in
        [("The rooms of a launch", "| property |", 8), ("Known vulnerabilities of runtimes", "| CVE |", 40)]
    {
        let table =
            section(&text, heading).split(head).nth(1).unwrap_or_else(|| panic!("no {head} in {heading}"));
        let rows: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
        assert!(rows.len() >= least, "{heading}: {} rows", rows.len());
        for row in rows {
            let proven = !References::of(row).is_empty() || row.contains("Cannot apply: ");
            assert!(proven, "no test is named in: {row}");
        }
    }
}
