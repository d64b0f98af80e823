//! Mutated documents and files for everything that reads some.
//!
//! | module | what |
//! |---|---|
//! | [`targets`] | what reads: each target takes an input to the functions that the program takes it to |
//! | `archive` | the archive that a document describes, for the targets that read some |
//! | [`corpus`] | the inputs that are kept in `corpus`, a folder for each target |
//! | [`mutate`] | how an input becomes another one: JSON by its structure, text by its lines and words |
//! | [`check`] | what must hold of every answer |
//! | [`chunk`] | some thousand inputs from one seed, which can be repeated alone |
//! | [`campaign`] | all chunks on all processors, and the table at the end |
//!
//! Coverage is not measured: that takes a sanitizer of a nightly compiler, or a C++ compiler for libFuzzer. Instead an
//! input is kept for further mutation where its answer is one that no input before it had, figures and quoted values
//! aside; the errors of the program are many and exact, so that they tell how far an input came.

mod archive;
pub mod campaign;
pub mod check;
pub mod chunk;
pub mod corpus;
pub mod mutate;
mod panics;
pub mod targets;
