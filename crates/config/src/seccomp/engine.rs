//! Reads profiles from files: those of the specification, and those of Docker and podman, which add conditions.
//!
//! In an engine's file (moby's `profiles/seccomp`, containers-common's `seccomp.json`) a rule has `includes` and
//! `excludes`, and `archMap` takes the place of `architectures`. Reading it as if these were not there would allow
//! every container what is meant for a few.

use std::collections::HashSet;

use oci_spec::runtime::{Arch, Capability, LinuxSeccomp, LinuxSyscall};
use serde::Deserialize;
use serde_json::Value;

use super::compile::compile;
use super::profile::SeccompError;

/// What the rules of an engine's profile depend on.
#[derive(Clone, Copy, Debug)]
pub struct Conditions<'a> {
    /// The container's bounding set.
    pub capabilities: &'a HashSet<Capability>,
    /// The kernel's version.
    pub kernel: (u32, u32),
}

impl Conditions<'_> {
    fn has(&self, name: &str) -> bool {
        self.capabilities.iter().any(|one| name.strip_prefix("CAP_") == Some(one.to_string().as_str()))
    }
}

/// Why a file is not a valid profile.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// Not JSON, or not of the form of a profile.
    #[error("is not a seccomp profile: {0}")]
    Form(String),
    /// It cannot be used.
    #[error(transparent)]
    Seccomp(#[from] SeccompError),
}

/// `includes` or `excludes` of a rule.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Filter {
    caps: Vec<String>,
    arches: Vec<String>,
    min_kernel: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ArchEntry {
    architecture: Arch,
    #[serde(default)]
    sub_architectures: Vec<Arch>,
}

/// Reads a profile and checks that it can be compiled here.
///
/// # Errors
/// [`ProfileError`] saying what is wrong, and where in the file.
pub fn read(bytes: &[u8], conditions: &Conditions<'_>) -> Result<LinuxSeccomp, ProfileError> {
    let form = |error: &dyn std::fmt::Display| ProfileError::Form(error.to_string());
    let mut document: Value = serde_json::from_slice(bytes).map_err(|error| form(&error))?;
    let object = document.as_object_mut().ok_or_else(|| ProfileError::Form("it is not an object".into()))?;
    if let Some(map) = object.remove("archMap") {
        let map: Option<Vec<ArchEntry>> = serde_json::from_value(map).map_err(|error| form(&error))?;
        let native = native();
        let entry = map.into_iter().flatten().find(|entry| Some(entry.architecture) == native);
        if let Some(ArchEntry { architecture, sub_architectures }) = entry {
            let all = [vec![architecture], sub_architectures].concat();
            object.insert("architectures".into(), serde_json::to_value(all).map_err(|error| form(&error))?);
        }
    }
    let rules = match object.remove("syscalls") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(rules)) => rules,
        Some(_) => return Err(ProfileError::Form("syscalls is not a list".into())),
    };
    let mut profile: LinuxSeccomp = at(document, "")?;
    let mut kept = Vec::new();
    for (index, value) in rules.into_iter().enumerate() {
        kept.extend(rule(value, &format!("syscalls[{index}]"), conditions)?);
    }
    profile.set_syscalls(Some(kept));
    compile(&profile)?;
    Ok(profile)
}

/// Deserializes a value; an error names its place in the file.
fn at<T: serde::de::DeserializeOwned>(value: Value, place: &str) -> Result<T, ProfileError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let dot = if place.is_empty() || path == "." || path.starts_with('[') { "" } else { "." };
        let path = if path == "." { "" } else { path.as_str() };
        ProfileError::Form(format!("{place}{dot}{path}: {}", error.inner()))
    })
}

/// The rule, or `None` if its conditions are not met.
fn rule(
    mut value: Value,
    place: &str,
    conditions: &Conditions<'_>,
) -> Result<Option<LinuxSyscall>, ProfileError> {
    let (mut includes, mut excludes) = (Filter::default(), Filter::default());
    if let Some(object) = value.as_object_mut() {
        for (key, filter) in [("includes", &mut includes), ("excludes", &mut excludes)] {
            if let Some(given) = object.remove(key).filter(|given| !given.is_null()) {
                *filter = at(given, &format!("{place}.{key}"))?;
            }
        }
        // The older form has a single name.
        if let Some(name) = object.remove("name").filter(|name| name.as_str() != Some("")) {
            object.insert("names".into(), Value::Array(vec![name]));
        }
        if object.get("args").is_some_and(Value::is_null) {
            object.remove("args");
        }
    }
    let met = includes.all(conditions, place)? && !excludes.any(conditions, place)?;
    let rule = at(value, place)?;
    Ok(met.then_some(rule))
}

impl Filter {
    /// Whether everything that is named holds: all of the capabilities, and one of the architectures.
    fn all(&self, conditions: &Conditions<'_>, place: &str) -> Result<bool, ProfileError> {
        let has = |name: &String| conditions.has(name);
        let arch = self.arches.is_empty() || self.arches.iter().any(|arch| arch == go_arch());
        Ok(self.caps.iter().all(has) && arch && self.kernel(conditions, place)?.unwrap_or(true))
    }

    /// Whether anything that is named holds.
    fn any(&self, conditions: &Conditions<'_>, place: &str) -> Result<bool, ProfileError> {
        let has = |name: &String| conditions.has(name);
        let arch = self.arches.iter().any(|arch| arch == go_arch());
        Ok(self.caps.iter().any(has) || arch || self.kernel(conditions, place)?.unwrap_or(false))
    }

    fn kernel(&self, conditions: &Conditions<'_>, place: &str) -> Result<Option<bool>, ProfileError> {
        let Some(text) = &self.min_kernel else { return Ok(None) };
        let version = text
            .split_once('.')
            .and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
        match version {
            Some(least) => Ok(Some(conditions.kernel >= least)),
            None => Err(ProfileError::Form(format!("{place}: minKernel {text:?} is not of the form 4.8"))),
        }
    }
}

/// The host's architecture, as the specification names it.
fn native() -> Option<Arch> {
    Some(match std::env::consts::ARCH {
        "x86_64" => Arch::ScmpArchX86_64,
        "x86" => Arch::ScmpArchX86,
        "aarch64" => Arch::ScmpArchAarch64,
        "arm" => Arch::ScmpArchArm,
        "s390x" => Arch::ScmpArchS390x,
        "riscv64" => Arch::ScmpArchRiscv64,
        _ => return None,
    })
}

/// The host's architecture as Go names it, which engines use in their conditions.
fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests;
