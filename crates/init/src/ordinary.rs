//! The state that each of our processes starts in, whatever the caller's state was.

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, setresgid, setresuid};
use rootling_sys as sys;

use crate::error::{Context, Result};

/// Resets the signals and the umask of one of our processes, and ties its end to that of the runtime.
pub(crate) fn begin() -> Result<()> {
    sys::signals::reset().context(|| "sigprocmask")?;
    // For what is made in the image: directories get 0755, files 0644.
    umask(Mode::from_bits_truncate(0o022));
    die_with_runtime()
}

/// Becomes root of the current user namespace, as far as that maps root. The kernel clears the parent-death signal
/// then.
pub(crate) fn become_root() -> Result<()> {
    let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
    let group = setresgid(gid, gid, gid).context(|| "setresgid(0)");
    group.and(setresuid(uid, uid, uid).context(|| "setresuid(0)"))
}

/// Until the container is recorded, the child is killed when the runtime ends. The kernel clears this setting whenever
/// the ids change.
pub(crate) fn die_with_runtime() -> Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL).context(|| "prctl(PR_SET_PDEATHSIG)")
}
