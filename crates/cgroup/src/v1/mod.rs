//! cgroup v1: one directory in the hierarchy of each controller (Documentation/admin-guide/cgroup-v1), and the
//! cgroup2 tree of a hybrid host besides.

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
