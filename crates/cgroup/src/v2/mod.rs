//! cgroup v2, the unified hierarchy (Documentation/admin-guide/cgroup-v2.rst), by path.

mod delegate;
pub(crate) mod freezer;
pub(crate) mod knobs;
pub(crate) mod place;
mod unified;

pub(crate) use delegate::delegate;
pub(crate) use unified::{Unified, kill, open_dir};
