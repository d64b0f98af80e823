//! From a plan to a container that waits for its start.
pub(crate) mod cgroup;
pub(crate) mod clone;
pub(crate) mod events;
mod join;
mod maps;
mod outer;
mod parent;
mod signals;
pub(crate) mod sockets;
mod sources;
pub(crate) mod terminal;

pub(crate) use maps::write_of as write_maps_of;
pub(crate) use parent::{How, Launch, Launched, new_record, raise_rlimits, write_pid_file};
pub(crate) use signals::{Signals, reset as reset_signals};
pub(crate) use sockets::send_fd;
