//! `exec`: a further process in a container that is there already. The runtime's side.
//!
//! [`request`] is what was asked for, [`plan`] what follows from it and from the container, [`parent`]
//! waits for the child, whose side is `rootling_init::exec`.
mod cgroup;
mod parent;
mod plan;
mod request;

#[cfg(feature = "fuzzing")]
pub(crate) use cgroup::parse as cgroups;
pub use parent::{Execution, exec};
#[cfg(feature = "fuzzing")]
pub(crate) use plan::ExecPlan;
pub use request::ExecOptions;
