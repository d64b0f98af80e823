//! The examples of docs/cli, run as they stand.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use rootling_tests::{Test, both, source};

both![examples_print_what_the_page_says, every_command_has_a_page];

fn pages() -> PathBuf {
    source("docs/cli")
}

fn every_command_has_a_page(test: &Test) {
    let help = test.rootling(&["--help"]).output().ok().stdout;
    let commands = help.lines().skip_while(|line| !line.ends_with("CONTAINER:"));
    let commands = commands.take_while(|line| !line.starts_with("GLOBAL OPTIONS"));
    for line in commands.filter(|line| line.starts_with("   ")) {
        let name = line.split_whitespace().next().expect("the name of a command");
        assert!(pages().join(name).with_extension("md").is_file(), "docs/cli/{name}.md is missing");
    }
}

fn examples_print_what_the_page_says(test: &Test) {
    let mut names: Vec<PathBuf> =
        fs::read_dir(pages()).expect("docs/cli").map(|e| e.expect("a page").path()).collect();
    names.sort_unstable();
    let mut bundles = [("hello", test.shell("echo hello")), ("web", test.shell("sleep 60"))];
    for (name, bundle) in &mut bundles {
        bundle.write();
        symlink(bundle.dir(), test.path(name)).expect("link to a bundle");
    }
    for page in names {
        let content = fs::read_to_string(&page).expect("read a page");
        for (command, expected) in examples(&content) {
            // `rootling` as the one under test, with the state of this test.
            let script = format!(
                "rootling() {{ case $1 in --root) {bin} \"$@\";; *) {bin} --root {root} \"$@\";; esac; }}\n{command}",
                bin = test.binary().display(),
                root = test.state_root().display()
            );
            let output = test.command("bash").arg("-c").arg(script).output();
            let printed = format!("{}{}", output.stdout, output.stderr);
            assert!(
                matches(&expected, &printed),
                "{}: {command}\n{expected}\nis not what was printed:\n{printed}",
                page.display()
            );
        }
    }
}

/// Commands and what they print, of all console blocks.
fn examples(page: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for block in page.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        for line in block.lines() {
            match (line.strip_prefix("$ "), all.last_mut()) {
                (Some(command), _) => all.push((command.to_owned(), String::new())),
                (None, Some((_, expected))) => expected.extend([line, "\n"]),
                (None, None) => panic!("output before a command: {line}"),
            }
        }
    }
    all
}

/// Whether the text is the pattern, in which `...` stands for anything.
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
