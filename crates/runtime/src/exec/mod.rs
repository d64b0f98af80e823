//! `exec`: a further process in a container that is there already.
//!
//! [`request`] is what was asked for, [`plan`] what follows from it and from the container, [`parent`]
//! the runtime's side; [`join`] and [`finish`] are the child's, from the host to execve(2).
mod cgroup;
mod finish;
mod join;
mod namespaces;
mod parent;
mod plan;
mod request;

pub use parent::exec;
pub use request::ExecOptions;
