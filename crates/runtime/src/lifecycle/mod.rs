//! The operations on containers, one file for each command.
mod create;
mod delete;
mod kill;
mod prepare;
mod start;

pub use create::{RunOptions, create, run};
pub use delete::delete;
pub use kill::{kill, parse_signal};
#[cfg(test)]
pub(crate) use prepare::plan_loaded;
pub use prepare::{Warn, adapt};
pub use start::start;
