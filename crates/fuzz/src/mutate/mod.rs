//! How an input is changed into another one.
//!
//! Everything follows from the seed: the same seed and corpus give the same inputs on every machine.

mod json;
mod mutator;
mod text;
mod values;

pub use mutator::{Format, Mutator, Seed};
