//! From a plan to a container that waits for its start.
mod clone;
mod join;
mod maps;
mod parent;
mod signals;
mod sockets;
mod sources;

pub(crate) use maps::write_of as write_maps_of;
pub(crate) use parent::{How, Launch, Launched};
pub(crate) use signals::{Signals, reset as reset_signals};
pub(crate) use sockets::send_fd;
