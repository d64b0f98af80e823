//! What whoever calls may have left in an odd state.

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{getegid, geteuid, getgid, getuid};
use rootling_runtime::{Error, Result};

/// Makes an ordinary process of this one: children are waited for, and what is made belongs to the caller, who may use
/// it, whatever is ignored or masked by now.
pub fn make_ordinary() {
    rootling_sys::process::default_sigchld();
    let before = umask(Mode::from_bits_truncate(0o077));
    // Group and others are the caller's to decide about.
    umask(before & Mode::from_bits_truncate(0o077));
}

/// The size that the stack may have, in bytes.
pub fn stack_limit() -> u64 {
    getrlimit(Resource::RLIMIT_STACK).map_or(u64::MAX, |(soft, _)| soft)
}

/// Fails where the program is set-user-id or set-group-id: whoever calls it would run hooks, mounts and programs of a
/// bundle of his own with the rights of its owner.
pub fn check_not_set_id() -> Result<()> {
    if geteuid() == getuid() && getegid() == getgid() {
        return Ok(());
    }
    Err(Error::invalid(
        "the program is set-user-id or set-group-id, which would give every caller its owner's rights: chmod ug-s it",
    ))
}
