//! Mutated documents and files for everything that parses some.
//!
//! | module | contents |
//! |---|---|
//! | [`targets`] | what reads: each target takes an input to the functions that the program takes it to |
//! | `archive` | the archive that a document describes, for the targets that read some |
//! | [`corpus`] | the inputs that are kept in `corpus`, a folder for each target |
//! | [`mutate`] | how an input becomes another one: JSON by its structure, text by its lines and words |
//! | [`check`] | what must hold of every answer |
//! | [`chunk`] | some thousand inputs from one seed, which can be repeated alone |
//! | [`campaign`] | all chunks on all processors, and the table at the end |
//!
//! Coverage is not measured, since that requires a sanitizer of a nightly compiler, or a C++ compiler for
//! libFuzzer. Instead, an input is kept for further mutation if its answer differs from all earlier ones in more
//! than figures and quoted values. The program has many precise errors, so that they show how far an input got.

mod archive;
pub mod campaign;
pub mod check;
pub mod chunk;
pub mod corpus;
pub mod mutate;
mod panics;
pub mod targets;
