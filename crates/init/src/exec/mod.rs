//! The child's side of `exec`: room 1 for a process that joins a container. It shares the other rooms with the launch.

mod join;
mod namespaces;

pub use join::{Joiner, join_for_runtime, run};
pub use namespaces::{Namespaces, stopped};
