//! The operations on containers, one file for each command.
mod create;
mod delete;
mod kill;
mod prepare;
mod start;

pub use create::{RunOptions, create, run};
pub use delete::delete;
pub use kill::{kill, parse_signal};
pub use prepare::{Warn, adapt, cgroup_manager, load_bundle};
pub use start::start;
