//! The error of this crate, which is the child's too: what happens there is told here.

pub(crate) use rootling_init::error::{Context, Operation, chain, errno_of, no_clone, no_process};
pub use rootling_init::error::{Error, ErrorKind, Result, one_line};

/// What the error of a limit is here.
#[allow(clippy::needless_pass_by_value)] // For map_err.
pub(crate) fn of_limits(error: rootling_config::limits::LimitError) -> Error {
    Error::invalid(format!("linux.resources.{error}"))
}

/// What a cgroup's error is here.
#[allow(clippy::needless_pass_by_value)] // For map_err.
pub(crate) fn of_cgroup(error: rootling_cgroup::CgroupError) -> Error {
    Error::system(chain(&error)).with_errno(errno_of(&error))
}
