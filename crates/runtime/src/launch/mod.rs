//! From a plan to a container that waits for its start.
mod clone;
mod join;
mod maps;
mod parent;
mod signals;
mod sockets;

pub(crate) use parent::{Launch, Launched};
pub(crate) use signals::{Signals, reset as reset_signals};
pub(crate) use sockets::send_fd;
