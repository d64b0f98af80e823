//! The command line: names, short forms and meanings are runc's unless said otherwise. One file a
//! command; [`command`] has the table of all.
mod adapt;
mod command;
mod create;
mod delete;
mod doctor;
mod exec;
mod global;
mod kill;
mod list;
mod parse;
mod spec;

pub(crate) use adapt::Adapt;
pub(crate) use command::Command;
pub(crate) use create::{Create, Run};
pub(crate) use delete::Delete;
pub(crate) use doctor::Doctor;
pub(crate) use exec::Exec;
pub(crate) use global::{CgroupManager, Global, Id, LogFormat, LogLevel, Rootless};
pub(crate) use kill::Kill;
pub(crate) use list::{List, ListFormat};
pub(crate) use parse::{Cli, parse};
pub(crate) use spec::{Limits, Spec, SpecFlags};
