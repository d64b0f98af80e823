//! Why there is no new process.

use nix::errno::Errno;
use rootling_rootless::host::Host;

use crate::error::Error;

/// The error of a clone(2) that failed, with the limit that was reached if that is why.
#[must_use]
pub fn explain(error: Error) -> Error {
    if error.is(Errno::EAGAIN) { error.remedy(Host::probe().process_limit()) } else { error }
}
