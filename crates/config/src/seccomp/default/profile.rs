//! Builds the default profile.

use std::collections::HashSet;

use nix::errno::Errno;
use oci_spec::runtime::{
    Arch, Capability, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompArgBuilder,
    LinuxSeccompOperator, LinuxSyscall,
};

use super::names::{ALWAYS, FAMILIES, NEW_NAMESPACES, NEW_TIME, PACKET, PERSONALITIES, WITH, WITH_MODULES};

/// EPERM, the result of a refused call.
const EPERM: u32 = Errno::EPERM as u32;

/// ENOSYS, on which C libraries fall back to clone(2), whose flags a filter can check.
const ENOSYS: u32 = Errno::ENOSYS as u32;

/// The kernel uses the lower half of an argument that is an `int`, so the filter must do so as well.
const INT: u64 = 0xffff_ffff;

/// The allow list for a container with these capabilities in its bounding set; any other call is refused with EPERM.
/// Which calls are allowed, and why, is in docs/spec.md.
pub fn default_profile<S: std::hash::BuildHasher>(capabilities: &HashSet<Capability, S>) -> LinuxSeccomp {
    let has = |names: &[&str]| capabilities.iter().any(|one| names.contains(&one.to_string().as_str()));
    let conditional = WITH.iter().chain([&WITH_MODULES]).filter(|(needed, _)| has(needed));
    let mut names: Vec<_> =
        ALWAYS.into_iter().chain(conditional.map(|(_, names)| *names)).flat_map(words).collect();
    names.sort_unstable();
    let mut rules = vec![rule(names, Vec::new())];
    rules.extend(PERSONALITIES.map(|domain| rule(words("personality"), vec![masked(0, INT, domain)])));
    let packet = has(&["NET_RAW"]).then_some(PACKET);
    rules.extend(families(FAMILIES.into_iter().chain(packet)));
    if !has(&["SYS_ADMIN"]) {
        rules.extend(without_namespaces());
    }
    let mut profile = LinuxSeccomp::default();
    profile
        .set_default_action(LinuxSeccompAction::ScmpActErrno)
        .set_default_errno_ret(Some(EPERM))
        .set_architectures(Some(architectures().to_vec()).filter(|list| !list.is_empty()))
        .set_flags(None)
        .set_syscalls(Some(rules));
    profile
}

/// Allows sockets of these address families.
pub(super) fn families<I: IntoIterator<Item = u64>>(numbers: I) -> impl Iterator<Item = LinuxSyscall> {
    numbers.into_iter().map(|family| rule(words("socket socketpair"), vec![masked(0, INT, family)]))
}

/// Allows processes and threads, but no namespaces, for a container without SYS_ADMIN.
pub(super) fn without_namespaces() -> [LinuxSyscall; 3] {
    let clone = rule(words("clone"), vec![masked(flags_of_clone(), NEW_NAMESPACES, 0)]);
    let unshare = rule(words("unshare"), vec![masked(0, NEW_NAMESPACES | NEW_TIME, 0)]);
    let mut refused = rule(words("clone3"), Vec::new());
    refused.set_action(LinuxSeccompAction::ScmpActErrno).set_errno_ret(Some(ENOSYS));
    [clone, unshare, refused]
}

pub(super) fn words(names: &str) -> Vec<String> {
    names.split_whitespace().map(str::to_owned).collect()
}

pub(super) fn rule(names: Vec<String>, args: Vec<LinuxSeccompArg>) -> LinuxSyscall {
    let mut rule = LinuxSyscall::default();
    rule.set_names(names)
        .set_action(LinuxSeccompAction::ScmpActAllow)
        .set_errno_ret(None)
        .set_args(Some(args).filter(|args| !args.is_empty()));
    rule
}

fn masked(index: usize, mask: u64, value: u64) -> LinuxSeccompArg {
    let op = LinuxSeccompOperator::ScmpCmpMaskedEq;
    let arg = LinuxSeccompArgBuilder::default().index(index).value(mask).value_two(value).op(op);
    // The builder fails if a field is missing, and none is.
    arg.build().unwrap_or_default()
}

/// The index of the flags of clone(2): on s390 the stack comes first.
fn flags_of_clone() -> usize {
    usize::from(cfg!(target_arch = "s390x"))
}

/// The host's architecture and the older one whose programs it runs; x32 is left out, since hardly anybody uses it.
/// An architecture that libseccomp has no name for leaves only the native one.
fn architectures() -> &'static [Arch] {
    match std::env::consts::ARCH {
        "x86_64" => &[Arch::ScmpArchX86_64, Arch::ScmpArchX86],
        "x86" => &[Arch::ScmpArchX86],
        "aarch64" => &[Arch::ScmpArchAarch64, Arch::ScmpArchArm],
        "arm" => &[Arch::ScmpArchArm],
        "s390x" => &[Arch::ScmpArchS390x, Arch::ScmpArchS390],
        "riscv64" => &[Arch::ScmpArchRiscv64],
        _ => &[],
    }
}
