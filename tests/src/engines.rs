//! Scenarios of container engines with rootling as their runtime, which `cargo engines` runs; see
//! `docs/testing.md`.
//!
//! The scenarios are in the tables below `tables`. [`Run`] says which of them belong together: an engine with a
//! caller and a configuration. A [`Session`] is one of these while it is running; it owns what the engine was
//! given, such as directories and a daemon, and removes that at its end.

mod containerd;
mod deb;
mod docker;
mod excerpt;
mod image;
mod pairs;
mod podman;
mod run;
mod scenario;
mod selection;
mod session;
mod setup;
mod tables;
mod variables;

pub use run::{RUNS, Run, User};
pub use scenario::{Facts, Group, Step};
pub(crate) use selection::REST;
pub use selection::{Pattern, Selection, number};
pub use session::Session;
