//! The resources of `update -r`, and what they are converted to.

use oci_spec::runtime::LinuxResources;
use rootling_cgroup::fuzzing::limits;
use rootling_config::limits::Limits;
use rootling_config::process::affinity;
use rootling_config::resources::{Controllers, LimitSupport, check_change};
use rootling_init::error::chain;
use rootling_runtime::fuzzing;

use crate::check::{Answer, Run};

/// The resources that were set before.
const BEFORE: &[u8] = include_bytes!("../../corpus/resources/usual.json");

pub(super) fn start() -> Run {
    let before = rootling_runtime::resources(BEFORE).expect("resources");
    Box::new(move |input| run(input, &before))
}

fn run(input: &[u8], before: &LinuxResources) -> Result<Answer, String> {
    let wanted = match rootling_runtime::resources(input) {
        Ok(resources) => resources,
        Err(error) => return Ok(Answer::Refused(error.to_string())),
    };
    let mut said = Vec::new();
    let mut error = None;
    match check_change(&mut wanted.clone(), before, &support(), Some(0)) {
        Ok(warnings) => said.extend(warnings),
        Err(refused) => error = Some(chain(&refused)),
    }
    let [wanted, kept, back] = fuzzing::update(before, wanted).map_err(|e| format!("cannot be kept: {e}"))?;
    for resources in [&wanted, &kept, &back] {
        for unified in [true, false] {
            error = error.or(written(resources, unified).err());
        }
    }
    Ok(error.map_or(Answer::Accepted(said), Answer::Refused))
}

/// These texts are for files and for systemd, not for people.
fn written(resources: &LinuxResources, unified: bool) -> Result<Vec<String>, String> {
    let read = Limits::parse(resources).map_err(|e| chain(&e))?;
    let rules = resources.devices().as_deref().unwrap_or_default();
    limits(&read, rules, unified).map_err(|e| chain(&e))
}

fn support() -> LimitSupport {
    let all = Controllers::ALL;
    LimitSupport {
        cpus: affinity::parse("0-3").expect("a list"),
        mems: affinity::parse("0").expect("a list"),
        swap: true,
        swappiness: true,
        oom_kill_disable: true,
        blkio_weight: true,
        realtime: Some(950_000),
        controllers: all,
    }
}
