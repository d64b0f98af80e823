//! What the kernel and its configuration allow.

use rootling_config::remedies::UNCOVERED_PROC;

use super::{Check, Distribution};
use crate::host::{Host, Restriction, install_profile};

pub(super) fn version(host: &Host) -> Check {
    let check = Check::ok(
        "kernel",
        host.kernel_release(),
        "5.12 or newer",
        "mount_setattr(2), with which mounts are made read-only, is the newest call that rootling needs",
    );
    if host.kernel_at_least(5, 12) { check } else { check.failed("boot a newer kernel") }
}

pub(super) fn user_namespaces(host: &Host, distribution: &Distribution) -> Check {
    let mut certain = host.user_namespace_restrictions();
    certain.retain(Restriction::is_certain);
    let found: Vec<_> = certain.iter().map(describe).collect();
    let found = if found.is_empty() { "allowed".into() } else { found.join("; ") };
    let check = Check::ok(
        "user namespaces",
        found,
        "allowed",
        "without one an ordinary user may neither mount nor change ids",
    );
    let fixes: Vec<_> = certain.iter().map(|restriction| fix(restriction, distribution)).collect();
    if fixes.is_empty() { check } else { check.failed(fixes.join("; ")) }
}

fn describe(restriction: &Restriction) -> String {
    match restriction {
        Restriction::NotBuilt => "not in this kernel".into(),
        Restriction::CloneDenied => "kernel.unprivileged_userns_clone is 0".into(),
        Restriction::NoneAllowed => "user.max_user_namespaces is 0".into(),
        Restriction::AppArmorSysctl => {
            "kernel.apparmor_restrict_unprivileged_userns is 1, and rootling has no profile".into()
        }
        Restriction::AppArmorProfile(profile) => format!("AppArmor profile {profile}"),
        Restriction::SeccompFilter => "a seccomp filter is in force".into(),
    }
}

fn fix(restriction: &Restriction, distribution: &Distribution) -> String {
    match restriction {
        Restriction::CloneDenied => distribution.family.sysctl("kernel.unprivileged_userns_clone", "1"),
        Restriction::NoneAllowed => distribution.family.sysctl("user.max_user_namespaces", "28633"),
        Restriction::AppArmorSysctl => install_profile(),
        other => other.advice(),
    }
}

/// Checks for mounts that cover parts of /proc, which rule out a procfs of the container's own.
pub(super) fn covered(host: &Host) -> Option<Check> {
    host.proc_masked().then(|| {
        Check::ok(
            "/proc",
            "parts are mounted over",
            "uncovered",
            "the kernel refuses a new proc here, so containers get this one and see the processes outside of them",
        )
        .warning(
            format!("{UNCOVERED_PROC}, or with a bind of the host's whole /proc"),
        )
    })
}

/// What confines the caller, and may forbid what the trial needs.
pub(super) fn confinement(host: &Host) -> Vec<Check> {
    let restrictions = host.user_namespace_restrictions().into_iter().filter(|found| !found.is_certain());
    restrictions
        .map(|restriction| {
            Check::ok(
                "confinement",
                describe(&restriction),
                "nothing that forbids mounts or namespaces",
                "a container can do no more than its caller may; a likely reason for the failed trial",
            )
            .warning(restriction.advice())
        })
        .collect()
}
