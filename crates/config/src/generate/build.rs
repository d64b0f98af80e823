//! Applies all flags, in the order in which they depend on each other.

use std::collections::HashMap;

use oci_spec::runtime::Spec;

use super::error::GenerateError;
use super::words::pair;
use super::{
    BundleFile, Facts, Files, Request, base, capabilities, cgroup, devices, limits, mounts, namespaces,
    network, process, security,
};
use crate::container::Container;

/// Runtimes that are some years old refuse later versions, and support everything that is written here.
const PORTABLE_VERSION: &str = "1.0.2";

/// A generated spec, and what the caller should know about it.
#[derive(Clone, Debug)]
pub struct Generated {
    /// The spec.
    pub spec: Spec,
    /// Warnings, one line each.
    pub warnings: Vec<String>,
    /// A file that the bundle needs in addition to config.json.
    pub file: Option<BundleFile>,
}

/// Generates the spec that the flags ask for. `rootless` says that it is for an ordinary user.
///
/// It is runc's spec, changed by the flags, with these differences: it has the default seccomp profile, a terminal
/// only with `--tty`, a read-only root only with `--readonly`, and a version that older runtimes support.
///
/// # Errors
/// [`GenerateError`] for the first flag that makes no sense in this combination.
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
    let file = network::run(&mut spec, request, files)?;
    Container::parse(spec.clone())?;
    Ok(Generated { spec, warnings, file })
}

fn pairs(flag: &'static str, given: &[String]) -> Result<Option<HashMap<String, String>>, GenerateError> {
    let owned = |text: &String| pair(flag, text).map(|(key, value)| (key.to_owned(), value.to_owned()));
    let pairs = given.iter().map(owned).collect::<Result<HashMap<_, _>, _>>()?;
    Ok(Some(pairs).filter(|pairs| !pairs.is_empty()))
}
