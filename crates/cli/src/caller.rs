//! Process state that the caller may have left unusual.

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{getegid, geteuid, getgid, getuid};
use rootling_runtime::{Error, Result};

/// Makes this an ordinary process: children can be waited for, and what is made belongs to the caller, who may
/// use it, no matter what is ignored or masked now.
pub fn make_ordinary() {
    rootling_sys::process::default_sigchld();
    let before = umask(Mode::from_bits_truncate(0o077));
    // The access of group and others is the caller's decision.
    umask(before & Mode::from_bits_truncate(0o077));
}

/// The soft limit of the stack size, in bytes.
pub fn stack_limit() -> u64 {
    getrlimit(Resource::RLIMIT_STACK).map_or(u64::MAX, |(soft, _)| soft)
}

/// Fails if the program is set-user-id or set-group-id: the caller could then run hooks, mounts and programs from
/// a bundle of his own with the privileges of the program's owner.
pub fn check_not_set_id() -> Result<()> {
    if geteuid() == getuid() && getegid() == getgid() {
        return Ok(());
    }
    Err(Error::invalid(
        "the program is set-user-id or set-group-id, which would give every caller its owner's rights: chmod ug-s it",
    ))
}
