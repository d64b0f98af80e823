//! The library `rootling-runtime` in another program: its example, run as it is built.

use std::fs;

use rootling_tests::{Bundle, Output, Test, both, source};
use serde_json::json;

both![
    the_example_prints_what_the_page_says,
    a_container_that_fails_leaves_nothing,
    the_thread_that_compiles_a_profile_is_over_before_the_clone,
];

/// What docs/embedding.md shows of the example.
fn shown() -> String {
    let page = fs::read_to_string(source("docs/embedding.md")).expect("docs/embedding.md");
    let block = page.split("```console\n").nth(1).and_then(|rest| rest.split("```").next());
    let (_, printed) = block.expect("an example").split_once('\n').expect("a command and what it prints");
    printed.to_owned()
}

fn embed(t: &Test, bundle: &Bundle, program: &[&str]) -> Output {
    let command = t.command(t.embedding_program()).arg(t.state_root()).arg(bundle.dir()).arg(t.id("c"));
    command.args(program).output()
}

fn the_example_prints_what_the_page_says(t: &Test) {
    let bundle = t.bundle(&["sleep", "60"]);
    let output = embed(t, bundle.write(), &["sh", "-c", "exit 3"]).ok();
    assert_eq!(output.stdout, shown());
    assert!(fs::read_dir(t.state_root()).expect("the state directory").next().is_none());
}

fn a_container_that_fails_leaves_nothing(t: &Test) {
    let bundle = t.bundle(&["not-there"]);
    embed(t, bundle.write(), &["true"]).fails_with(&["not-there"]);
    assert!(fs::read_dir(t.state_root()).expect("the state directory").next().is_none());
}

fn the_thread_that_compiles_a_profile_is_over_before_the_clone(t: &Test) {
    let mut bundle = t.bundle(&["sleep", "60"]);
    let rule = json!({"names": ["mkdirat"], "action": "SCMP_ACT_ERRNO"});
    bundle.set("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}));
    for _ in 0..20 {
        embed(t, bundle.write(), &["true"]).ok();
    }
}
