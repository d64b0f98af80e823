//! The operations on containers, one file per command.
mod cgroup_support;
mod checkpoint;
mod create;
mod delete;
mod events;
mod kill;
mod pause;
mod prepare;
mod ps;
mod resources;
mod restore;
mod start;
mod state;
mod stats;
mod update;

pub use checkpoint::checkpoint;
pub use create::{RunOptions, create, run};
pub use delete::delete;
pub use events::{Event, events};
pub use kill::{kill, parse_signal};
pub use pause::{pause, resume};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use prepare::plan_loaded;
pub use prepare::{adapt, load_bundle};
pub use ps::processes;
pub use resources::resources;
pub use restore::restore;
pub use start::start;
pub use state::{state, wait};
pub use stats::{Sample, sample, stats};
#[cfg(feature = "fuzzing")]
pub(crate) use update::of as update_of;
pub use update::{Rules, update};
