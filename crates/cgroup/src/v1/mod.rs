//! cgroup v1: a directory in each controller's own hierarchy (Documentation/admin-guide/cgroup-v1),
//! and the cgroup2 tree of a hybrid host beside them.

pub(crate) mod freezer;
pub(crate) mod hierarchy;
pub(crate) mod knobs;
mod legacy;
pub(crate) mod place;
mod realtime;

#[cfg(feature = "fuzzing")]
pub(crate) use hierarchy::HYBRID;
pub(crate) use hierarchy::Paths;
pub(crate) use legacy::Legacy;
