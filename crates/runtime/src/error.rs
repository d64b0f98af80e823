//! The error type of this crate. It is that of the child as well, since the child's errors are reported here.

pub(crate) use rootling_init::error::{Context, Operation, chain, errno_of, no_clone, no_process};
pub use rootling_init::error::{Error, ErrorKind, Result, one_line};

/// Converts the error of a limit.
#[allow(clippy::needless_pass_by_value)] // For map_err.
pub(crate) fn of_limits(error: rootling_config::limits::LimitError) -> Error {
    Error::invalid(format!("linux.resources.{error}"))
}

/// Converts the error of a cgroup.
#[allow(clippy::needless_pass_by_value)] // For map_err.
pub(crate) fn of_cgroup(error: rootling_cgroup::CgroupError) -> Error {
    Error::system(chain(&error)).with_errno(errno_of(&error))
}
