//! The examples in docs/cli, run as they are written.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use rootling_tests::{Test, both, docs, source};

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
    let mut names: Vec<String> = fs::read_dir(pages())
        .expect("docs/cli")
        .map(|entry| entry.expect("a page").file_name().into_string().expect("a name"))
        .collect();
    names.sort_unstable();
    let mut bundles = [("hello", test.shell("echo hello")), ("web", test.shell("sleep 60"))];
    for (name, bundle) in &mut bundles {
        bundle.write();
        symlink(bundle.dir(), test.path(name)).expect("link to a bundle");
    }
    for name in names {
        for block in docs::blocks(&format!("docs/cli/{name}")) {
            for ran in block.run(test, &test.path(""), &[]) {
                ran.printed_as_shown();
                ran.ended_as_shown();
            }
        }
    }
}
