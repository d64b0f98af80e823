//! The implementation of each command.
mod config;
mod dispatch;
mod layout;
mod manual;
mod unpack;

pub(crate) use dispatch::execute;
