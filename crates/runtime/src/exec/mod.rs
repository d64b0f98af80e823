//! `exec`: starts a further process in an existing container. This is the runtime's side.
//!
//! [`request`] is what was asked for, [`plan`] is what follows from it and from the container, and [`parent`] waits for
//! the child, whose side is `rootling_init::exec`.
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
