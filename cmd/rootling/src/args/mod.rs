//! The command line: names, short forms and meanings are runc's unless said otherwise. One file a
//! command; [`command`] has the table of all.
mod adapt;
mod checkpoint;
mod command;
mod create;
mod delete;
mod doctor;
mod events;
mod exec;
mod features;
mod help;
mod hook;
mod image;
mod kill;
mod list;
mod manual;
#[cfg(test)]
mod parity;
mod parse;
mod profile;
mod ps;
mod spec;
mod stats;
mod update;
mod words;

pub(crate) use adapt::Adapt;
pub(crate) use checkpoint::{CgroupsMode, Checkpoint, Criu, Restore};
pub(crate) use command::Command;
pub(crate) use create::{Create, Making, Run};
pub(crate) use delete::Delete;
pub(crate) use doctor::Doctor;
pub(crate) use events::Events;
pub(crate) use exec::Exec;
pub(crate) use features::Features;
pub(crate) use hook::{Hook, HookKind};
pub(crate) use image::Image;
pub(crate) use kill::Kill;
pub(crate) use list::{List, ListFormat};
pub(crate) use manual::{Completion, Help, Man, Shell};
pub(crate) use parse::{Cli, End, help_text, parse, whole};
pub(crate) use profile::{Kind as ProfileKind, Profile};
pub(crate) use ps::{Ps, PsFormat};
pub(crate) use rootling_cli::global::{Global, Id, Ids, Rootless};
pub(crate) use spec::Spec;
pub(crate) use stats::Stats;
pub(crate) use update::Update;
