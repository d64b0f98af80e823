//! One module for each command: turns its arguments into a call of the runtime.
mod adapt;
mod checkpoint;
mod columns;
mod completion;
mod create;
mod dispatch;
mod doctor;
mod events;
mod exec;
mod features;
mod hook;
mod image;
mod list;
mod manual;
mod profile;
mod ps;
mod select;
mod spec;
mod stats;
mod update;

pub(crate) use create::check_preserved;
pub(crate) use dispatch::execute;
