//! All flags together, in the order in which they depend on each other.

use std::collections::HashMap;

use oci_spec::runtime::Spec;

use super::error::GenerateError;
use super::words::pair;
use super::{
    Facts, Files, Request, base, capabilities, cgroup, devices, limits, mounts, namespaces, process, security,
};
use crate::container::Container;

/// Runtimes of some years ago refuse a later version, and know all that is written here.
const PORTABLE_VERSION: &str = "1.0.2";

/// A spec, and what the caller should know about it.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The spec.
    pub spec: Spec,
    /// One line each.
    pub warnings: Vec<String>,
}

/// The spec that the flags ask for. `rootless` says that it is for an ordinary user.
///
/// It is runc's, changed by the flags, with these differences: the default seccomp profile, a terminal
/// only with `--tty`, a read-only root only with `--readonly`, and a version that older runtimes know.
///
/// # Errors
/// [`GenerateError`] for the first flag that makes no sense here.
pub fn build(
    request: &Request,
    rootless: bool,
    facts: &Facts,
    files: &dyn Files,
) -> Result<Generated, GenerateError> {
    let mut spec = if rootless {
        base::rootless_spec_on(facts.cgroup2, facts.uid, facts.gid)
    } else {
        base::default_spec_on(facts.cgroup2)
    };
    spec.set_version(PORTABLE_VERSION.to_owned());
    let mut warnings = Vec::new();
    namespaces::run(&mut spec, request, facts, files, &mut warnings)?;
    process::run(&mut spec, request, facts, &mut warnings)?;
    capabilities::run(&mut spec, request, facts, &mut warnings)?;
    limits::run(&mut spec, &request.limits, facts, files, &mut warnings)?;
    mounts::run(&mut spec, request, facts, files, &mut warnings)?;
    devices::run(&mut spec, request, rootless, files, &mut warnings)?;
    security::run(&mut spec, request, facts, files, &mut warnings)?;
    let annotations = pairs("annotation", &request.annotation)?;
    let sysctl = pairs("sysctl", &request.sysctl)?;
    spec.set_annotations(annotations);
    cgroup::run(&mut spec, request, facts, &mut warnings)?;
    if let Some(linux) = spec.linux_mut() {
        linux.set_sysctl(sysctl);
    }
    Container::parse(spec.clone())?;
    Ok(Generated { spec, warnings })
}

fn pairs(flag: &'static str, given: &[String]) -> Result<Option<HashMap<String, String>>, GenerateError> {
    let owned = |text: &String| pair(flag, text).map(|(key, value)| (key.to_owned(), value.to_owned()));
    let pairs = given.iter().map(owned).collect::<Result<HashMap<_, _>, _>>()?;
    Ok(Some(pairs).filter(|pairs| !pairs.is_empty()))
}
