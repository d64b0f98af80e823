//! From a plan to a container that waits for its start: the runtime's side.
//!
//! A stage is a type: `Begun` has a child, `Ready` one that has reported that all is prepared, and
//! [`Launched`] is recorded and independent of the launch. What has been made so far is in one guard
//! ([`made`]), which undoes it. Everything that is waited for is in one place ([`reactor`]).
pub(crate) mod cgroup;
mod clone;
mod devices;
pub(crate) mod made;
mod maps;
mod nodes;
pub(crate) mod reactor;
pub(crate) mod sockets;
mod sources;
mod stages;
pub(crate) mod terminal;

pub(crate) use maps::write_of;
pub(crate) use stages::{LaunchMode, Launched, launch};
