//! Why there is no new process.

use nix::errno::Errno;
use rootling_config::namespaces::NamespaceSet;
use rootling_rootless::host::process_limit;

use crate::error::{Error, Operation};

/// The error of a clone(2) that failed, with the limit that was reached if that is why.
#[must_use]
pub fn explain(error: Error) -> Error {
    if error.is(Errno::EAGAIN) { error.remedy(process_limit()) } else { error }
}

/// The error of a clone3(2) that was to make these namespaces.
#[must_use]
pub fn clone_error(errno: Errno, namespaces: &NamespaceSet) -> Error {
    let operation =
        if namespaces.user.is_new() { Operation::NewUserNamespace } else { Operation::NewNamespaces };
    explain(Error::from(errno).wrap("clone3")).during(operation)
}
