//! The parsers: each target passes an input to the functions to which the program passes it.

mod annotations;
mod cgroups;
mod config;
mod credentials;
mod documents;
mod gvariant;
mod host;
mod ids;
mod image;
mod layers;
mod listing;
mod mounts;
mod process;
mod resources;
mod seccomp;
mod sections;
mod state;
mod table;
mod words;

pub use crate::check::Run;
pub use table::{TARGETS, Target, by_name};
