//! Runs every stored input and some thousand that are made from them; they are limited by their number, never by
//! time.

use std::path::Path;

use rootling_fuzz::campaign::tell;
use rootling_fuzz::chunk::{Chunk, Runner, Totals};
use rootling_fuzz::targets::{TARGETS, by_name};

/// A different one each day would find more, but nobody could tell whether a failure has to do with a change.
const SEED: u64 = 1;

/// The fraction of the inputs of a `make fuzz` run: a debug build takes a minute for these.
const SHARE: u64 = 50;

fn assert_clean(totals: &Totals) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    totals.findings.iter().take(20).for_each(|finding| tell(finding, directory));
    assert!(totals.findings.is_empty(), "{} findings; see above", totals.findings.len());
}

fn run(name: &str) {
    let target = by_name(name).expect("a target");
    let mut kept = Runner::new(target, None);
    kept.corpus();
    assert_clean(&kept.totals());
    let inputs = target.cases / SHARE;
    let chunk = Chunk { target, seed: SEED, number: 0, inputs };
    let totals = chunk.run(None, &mut |_, _| {});
    assert_clean(&totals);
    assert_eq!(totals.inputs, inputs);
    assert!(totals.accepted > 0, "{name}: no input was accepted");
}

macro_rules! targets {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            run($name);
        })*

        #[test]
        fn every_target_has_a_test() {
            let tested = [$($name),*];
            let all = TARGETS.each_ref().map(|target| target.name);
            assert_eq!(tested, all);
        }
    };
}

targets! {
    config: "config",
    process: "process",
    stored_process: "stored-process",
    resources: "resources",
    state: "state",
    recovery: "recovery",
    annotations: "annotations",
    seccomp: "seccomp",
    mount_options: "mount-options",
    ids: "ids",
    mountinfo: "mountinfo",
    cgroup_files: "cgroup-files",
    own_cgroup: "own-cgroup",
    gvariant: "gvariant",
    layers: "layers",
    image_documents: "image-documents",
    credentials: "credentials",
    words: "words",
}
