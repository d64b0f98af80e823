//! What a process of ours is like from its first moment on, whatever the caller was like.

use nix::sys::stat::{Mode, umask};
use rootling_sys as sys;

use crate::error::{Context, Result};

/// Signals, umask and end of a process of ours, whatever the caller had.
pub(crate) fn begin() -> Result<()> {
    sys::signals::reset().context(|| "sigprocmask")?;
    // Of what is made in the image: directories 0755, files 0644.
    umask(Mode::from_bits_truncate(0o022));
    die_with_runtime()
}

/// The runtime's end, until the container is recorded, is the child's as well. The kernel forgets it whenever the ids
/// change.
pub(crate) fn die_with_runtime() -> Result<()> {
    sys::process::set_parent_death_signal(libc::SIGKILL).context(|| "prctl(PR_SET_PDEATHSIG)")
}
