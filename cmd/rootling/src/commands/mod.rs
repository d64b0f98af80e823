//! One module a command: from its arguments to a call of the runtime.
mod adapt;
mod checkpoint;
mod create;
mod dispatch;
mod doctor;
mod exec;
mod features;
mod list;
mod manual;
mod spec;
mod state;

pub(crate) use create::check_preserved;
pub(crate) use dispatch::execute;
