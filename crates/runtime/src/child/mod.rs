//! The process that becomes the container: between the clone and execve(2).
//!
//! It is a copy of the runtime that nobody else can see yet. It tells the runtime of every failure
//! over its channel and never returns into the runtime's code.
mod bare;
mod begin;
mod bind_flags;
mod capture;
pub(crate) mod console;
mod context;
mod devices;
mod finish;
mod hints;
mod hook_runner;
pub(crate) mod identity;
mod mounts;
mod paths;
pub(crate) mod process;
pub(crate) mod program;
mod resolve;
mod source;
mod waiting;

pub(crate) use begin::run;
pub(crate) use capture::errors_of;
pub(crate) use context::ChildContext;
pub(crate) use source::open_source;
