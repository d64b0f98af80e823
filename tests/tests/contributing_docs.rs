//! Compares CONTRIBUTING.md and docs/embedding.md with the source: the files, tests and the example that they name
//! exist.

use std::fs;
use std::path::Path;

use rootling_tests::source;

/// The words in backticks for which `wanted` is true.
fn quoted(text: &str, wanted: impl Fn(&str) -> bool) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).filter(|word| wanted(word)).collect()
}

fn recipes() -> String {
    fs::read_to_string(source("CONTRIBUTING.md")).expect("CONTRIBUTING.md")
}

/// Whether a Rust file below `dir` contains this text.
fn is_in_source(dir: &Path, text: &str) -> bool {
    fs::read_dir(dir).expect("a folder of sources").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return is_in_source(&path, text);
        }
        path.extension().is_some_and(|kind| kind == "rs")
            && fs::read_to_string(&path).expect("a source").contains(text)
    })
}

#[test]
fn files_of_the_recipes_exist() {
    let text = recipes();
    let paths = quoted(&text, |word| {
        ["cmd/", "crates/", "docs/", "tests/"].iter().any(|dir| word.starts_with(dir)) && !word.contains(' ')
    });
    assert!(paths.len() > 20, "{paths:?}");
    for path in paths {
        assert!(source(path).exists(), "{path} is not there");
    }
}

#[test]
fn tests_that_the_recipes_name_exist() {
    let text = recipes();
    let names = quoted(&text, |word| {
        word.matches('_').count() > 2 && word.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())
    });
    assert!(names.len() > 2, "{names:?}");
    for name in names {
        let function = format!("fn {name}(");
        assert!(["cmd", "crates"].iter().any(|dir| is_in_source(&source(dir), &function)), "no test {name}");
    }
}

#[test]
fn the_page_on_embedding_has_the_example() {
    let read = |path: &str| fs::read_to_string(source(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    let example = read("crates/runtime/examples/embed.rs");
    let page = read("docs/embedding.md");
    let shown = page.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(shown, Some(example.as_str()), "docs/embedding.md shows another example than is built");
}
