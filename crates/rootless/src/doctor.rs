//! Whether containers can run here, and what to do if they cannot.
//!
//! Each check examines facts of the [`Host`]; running a real container as a trial is up to the caller. A fix is a
//! command or a line of a file, as it applies to the host's distribution.

mod ids;
mod kernel;
mod limits;
mod network;
mod places;

#[cfg(test)]
mod tests;

pub use crate::distribution::Distribution;

use crate::host::Host;

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Everything is as it should be.
    Ok,
    /// Containers run, but some cannot, or they lack some of what they ask for.
    Warning,
    /// No container can run.
    Failed,
}

impl Verdict {
    /// `ok`, `warning` or `failed`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

/// A check with its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was checked, in a word or two.
    pub name: &'static str,
    /// The result.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What is needed.
    pub needed: String,
    /// What depends on it.
    pub why: String,
    /// What to do, unless everything is as it should be.
    pub fix: Option<String>,
}

impl Check {
    pub(crate) fn ok(name: &'static str, found: impl Into<String>, needed: &str, why: &str) -> Self {
        let (found, needed, why) = (found.into(), needed.into(), why.into());
        Self { name, verdict: Verdict::Ok, found, needed, why, fix: None }
    }

    pub(crate) fn warning(self, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, fix: Some(fix.into()), ..self }
    }

    pub(crate) fn failed(self, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Failed, fix: Some(fix.into()), ..self }
    }
}

/// The kinds of caller for which the checks differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    /// Root of the host.
    Root,
    /// Root of a user namespace or of a container.
    NestedRoot,
    /// Anyone else.
    User,
}

fn caller(host: &Host) -> Caller {
    match () {
        () if host.is_ordinary_user() => Caller::User,
        () if host.is_restricted_root() || host.in_user_namespace() => Caller::NestedRoot,
        () => Caller::Root,
    }
}

/// Runs all checks that apply to this caller and host.
pub fn examine(host: &Host) -> Vec<Check> {
    let distribution = Distribution::of(host);
    let caller = caller(host);
    let mut checks = vec![kernel::version(host)];
    match caller {
        Caller::Root => {}
        Caller::NestedRoot => {
            checks.push(kernel::user_namespaces(host, &distribution));
            checks.push(ids::of_namespace(host));
        }
        Caller::User => {
            checks.push(kernel::user_namespaces(host, &distribution));
            checks.extend(ids::subordinate(host, &distribution));
            checks.extend(ids::helpers(host, &distribution));
        }
    }
    checks.push(places::runtime_directory(host, caller == Caller::Root));
    checks.extend(places::directories(host));
    checks.extend(limits::keyring(host, &distribution));
    if caller != Caller::Root {
        checks.extend(kernel::covered(host));
        checks.push(limits::ping_groups(host, &distribution));
        checks.extend(limits::low_ports(host));
        checks.push(network::programs(host, &distribution));
    }
    checks.push(limits::cgroups(host, &distribution, caller == Caller::Root));
    checks
}

/// Possible reasons for a failed trial for which [`examine`] finds no other reason.
pub fn suspects(host: &Host) -> Vec<Check> {
    kernel::confinement(host)
}
