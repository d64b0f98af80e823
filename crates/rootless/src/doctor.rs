//! Whether containers can run here, and what to do where they cannot.
//!
//! Each check is a look at facts of the [`Host`]; the trial of a real container is the caller's.
//! A fix is a command or a line of a file, in the words of the host's distribution.

mod ids;
mod kernel;
mod limits;
mod network;
mod places;

#[cfg(test)]
mod tests;

pub use crate::distribution::Distribution;

use crate::host::Host;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Containers run, but some cannot, or not with all that they ask for.
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

/// One check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at, in a word or two.
    pub name: &'static str,
    /// How it came out.
    pub verdict: Verdict,
    /// What is there.
    pub found: String,
    /// What should be.
    pub needed: String,
    /// What depends on it.
    pub why: String,
    /// What to do, unless all is well.
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

/// The caller as far as the checks differ.
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

/// All checks that apply to this caller and host.
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

/// What may be the reason where a trial failed that [`examine`] has no other reason for.
pub fn suspects(host: &Host) -> Vec<Check> {
    kernel::outer_container(host)
}
