//! Annotations that have a meaning, including those for properties of a systemd unit.

use std::path::Path;

use rootling_config::id::ContainerId;
use rootling_config::{annotations, cgroup_parent, container, load};
use rootling_init::error::chain;

use super::host::choice;
use crate::check::{Answer, Run};

pub(super) fn start() -> Run {
    Box::new(|input| Ok(run(input)))
}

fn run(input: &[u8]) -> Answer {
    let document = [br#"{"ociVersion":"1.2.0","linux":{},"annotations":"#, input, b"}"].concat();
    let mut spec = match load::from_slice(Path::new("config.json"), &document) {
        Ok(loaded) => loaded.spec,
        Err(error) => return Answer::Refused(chain(&error)),
    };
    let mut errors: Vec<String> = Vec::new();
    errors.extend(container::annotations(&spec).err().map(|e| chain(&e)));
    annotations::keeps_groups(&spec);
    for (key, value) in spec.annotations().iter().flatten() {
        errors.extend(rootling_cgroup::fuzzing::annotation(key, value).err().map(|e| chain(&e)));
    }
    let id = ContainerId::parse("web").expect("an id");
    errors.extend(cgroup_parent::resolve(&mut spec, &id, choice(input, 2) == 0).err().map(|e| chain(&e)));
    // Annotations have no order.
    errors.sort_unstable();
    errors.into_iter().next().map_or(Answer::Accepted(Vec::new()), Answer::Refused)
}
