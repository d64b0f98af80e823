//! What each command does.
mod config;
mod dispatch;
mod layout;
mod manual;
mod unpack;

pub(crate) use dispatch::execute;
