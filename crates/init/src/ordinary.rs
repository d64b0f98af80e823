//! What a process of ours is like from its first moment on, whatever the caller was like.

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, setresgid, setresuid};
use rootling_sys as sys;

use crate::error::{Context, Result};

/// Signals, umask and end of a process of ours, whatever the caller had.
pub(crate) fn begin() -> Result<()> {
    sys::signals::reset().context(|| "sigprocmask")?;
    // Of what is made in the image: directories 0755, files 0644.
    umask(Mode::from_bits_truncate(0o022));
    die_with_runtime()
}

/// Root of the user namespace that the process is in, as far as that has one. The kernel forgets that the process is to end with
/// the runtime.
pub(crate) fn become_root() -> Result<()> {
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    let group = setresgid(gid, gid, gid).context(|| "setresgid(0)");
    group.and(setresuid(uid, uid, uid).context(|| "setresuid(0)"))
}

/// The runtime's end, until the container is recorded, is the child's as well. The kernel forgets it whenever the ids
/// change.
pub(crate) fn die_with_runtime() -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).context(|| "prctl(PR_SET_PDEATHSIG)")
}
