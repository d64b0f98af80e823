//! From a plan to a container that waits for its start. This is the runtime's side.
//!
//! Each stage is a type: `Begun` has a child, the child of `Ready` has reported that everything is prepared, and
//! [`Launched`] is recorded and independent of the launch. What has been made so far is owned by one guard ([`made`]),
//! which undoes it. All waiting happens in one place ([`reactor`]).
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
