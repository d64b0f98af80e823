//! `spec`: facts of the host and flags to a request, and the result to a file.
mod write;

pub(crate) use write::spec;
