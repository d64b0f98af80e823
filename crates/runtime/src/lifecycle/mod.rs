//! The operations on containers, one file for each command.
mod checkpoint;
mod create;
mod delete;
mod kill;
mod prepare;
mod restore;
mod start;

pub use checkpoint::checkpoint;
pub use create::{RunOptions, create, run};
pub use delete::delete;
pub use kill::{kill, parse_signal};
#[cfg(test)]
pub(crate) use prepare::plan_loaded;
pub use prepare::{Warn, adapt, cgroup_manager, load_bundle};
pub use restore::restore;
pub use start::start;
