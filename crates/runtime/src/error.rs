//! The error of this crate, which is the child's too: what happens there is told here.

pub use rootling_init::error::{Error, ErrorKind, Result};
pub(crate) use rootling_init::error::{Context, chain, one_line};

/// What a cgroup's error is here.
pub(crate) fn of_cgroup(error: rootling_cgroup::CgroupError) -> Error {
    Error::system(chain(&error))
}
