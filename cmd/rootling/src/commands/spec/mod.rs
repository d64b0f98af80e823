//! `spec`: turns the flags and facts of the host into a request, and writes the result to a file.
mod write;

pub(crate) use write::spec;
