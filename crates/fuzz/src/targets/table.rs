//! The table of all targets.

use crate::check::Run;
use crate::mutate::Format;

use super::{
    annotations, cgroups, config, credentials, gvariant, ids, image, layers, mounts, process, resources,
    seccomp, state, words,
};

/// A parser to be tested.
pub struct Target {
    /// Its name, which is also that of its folder in the corpus.
    pub name: &'static str,
    /// The format of its inputs.
    pub format: Format,
    /// Makes what it needs, such as a directory.
    pub start: fn() -> Run,
    /// How many of every thousand inputs of `make fuzz` it gets.
    pub share: u64,
    /// How many inputs `make test` runs, chosen so that each target takes about as long.
    pub cases: u64,
}

const fn target(name: &'static str, format: Format, start: fn() -> Run, share: u64, cases: u64) -> Target {
    Target { name, format, start, share, cases }
}

/// All of them; the shares add up to 1000.
pub static TARGETS: [Target; 18] = [
    target("config", Format::Json, config::start, 100, 15_000),
    target("process", Format::Json, process::file, 80, 30_000),
    target("stored-process", Format::Json, process::stored, 50, 30_000),
    target("resources", Format::Json, resources::start, 90, 30_000),
    target("state", Format::Json, state::start, 60, 30_000),
    target("recovery", Format::Json, state::recovery, 40, 30_000),
    target("annotations", Format::Json, annotations::start, 50, 40_000),
    target("seccomp", Format::Json, seccomp::start, 20, 5_000),
    target("mount-options", Format::Text, mounts::options, 60, 100_000),
    target("ids", Format::Text, ids::start, 60, 50_000),
    target("mountinfo", Format::Text, mounts::mountinfo, 50, 40_000),
    target("cgroup-files", Format::Text, cgroups::files, 40, 15_000),
    target("own-cgroup", Format::Text, cgroups::own, 40, 100_000),
    target("gvariant", Format::Text, gvariant::start, 50, 100_000),
    target("layers", Format::Json, layers::start, 90, 8_000),
    target("image-documents", Format::Json, image::start, 60, 15_000),
    target("credentials", Format::Json, credentials::start, 20, 60_000),
    target("words", Format::Text, words::start, 40, 100_000),
];

/// The target with this name.
pub fn by_name(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_a_thousand_and_names_are_no_others() {
        assert_eq!(TARGETS.iter().map(|target| target.share).sum::<u64>(), 1000);
        for target in &TARGETS {
            assert!(std::ptr::eq(by_name(target.name).unwrap(), target), "{}", target.name);
        }
    }
}
