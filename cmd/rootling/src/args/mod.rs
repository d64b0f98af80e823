//! The command line. Names, short forms and meanings are those of runc unless stated otherwise. There is one file
//! for each command or for several that belong together; [`command`] has the table of all commands.
mod adapt;
mod checkpoint;
mod command;
mod create;
mod delete;
mod events;
mod exec;
mod help;
mod hook;
mod host;
mod image;
mod kill;
mod list;
mod manual;
#[cfg(test)]
mod parity;
mod parse;
mod ps;
mod spec;
mod update;
mod words;

pub(crate) use adapt::Adapt;
pub(crate) use checkpoint::{CgroupsMode, Checkpoint, Criu, Restore};
pub(crate) use command::Command;
pub(crate) use create::{Create, Making, Run};
pub(crate) use delete::Delete;
pub(crate) use events::{Events, Stats};
pub(crate) use exec::Exec;
pub(crate) use hook::{Hook, HookKind};
pub(crate) use host::{Doctor, Features, Profile, ProfileKind};
pub(crate) use image::Image;
pub(crate) use kill::Kill;
pub(crate) use list::{List, ListFormat};
pub(crate) use manual::{Completion, Help, Man, Shell};
pub(crate) use parse::{Cli, End, help_text, parse, whole};
pub(crate) use ps::{Ps, PsFormat};
pub(crate) use rootling_cli::global::{Global, Id, Ids, Rootless};
pub(crate) use spec::Spec;
pub(crate) use update::Update;
