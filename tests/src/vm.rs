//! Tests in the virtual machine: what `cargo vm` runs, see `docs/testing.md`. The scripts of `hack/vm` build, start and
//! stop the machine and talk to it; what is run there, in which order and time, and what has come of it is here.

mod engines;
mod integration;
mod machine;
mod programs;
mod suite;

pub use engines::{Engines, run_engines};
pub use integration::run_tests;
pub use suite::Suite;
