//! Tests in the virtual machine, which `cargo vm` runs; see `docs/testing.md`. The scripts in `hack/vm` build,
//! start and stop the machine and communicate with it. What is run in it, in which order and for how long, and the
//! results are determined here.

mod engines;
mod integration;
mod machine;
mod matrix;
mod programs;
mod suite;

pub use engines::{Engines, run_engines};
pub use integration::run_tests;
pub use matrix::run_matrix;
pub use suite::Suite;
