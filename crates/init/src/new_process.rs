//! Why there is no new process.

use nix::errno::Errno;
use rootling_config::namespaces::NamespaceSet;

use crate::error::{Error, Operation};

/// The error of a call that was to make a process. Where a limit was reached, the runtime says which.
#[must_use]
pub fn refused(error: Error) -> Error {
    if error.is(Errno::EAGAIN) { error.during(Operation::NewProcess) } else { error }
}

/// The error of a clone3(2) that was to make these namespaces.
#[must_use]
pub fn clone_error(errno: Errno, namespaces: &NamespaceSet) -> Error {
    let operation =
        if namespaces.user.is_new() { Operation::NewUserNamespace } else { Operation::NewNamespaces };
    Error::from(errno).wrap("clone3").during(operation)
}
