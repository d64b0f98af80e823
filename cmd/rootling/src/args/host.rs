//! `doctor`, `features` and `profile`: the host and the program.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print the checks as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Features {}

#[derive(Debug, Args)]
pub(crate) struct Profile {
    /// Profile to print
    #[arg(value_name = "KIND")]
    pub(crate) kind: ProfileKind,
    /// Print the AppArmor profile for the program at this path [default: this program]
    #[arg(long, value_name = "PATH")]
    pub(crate) program: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProfileKind {
    /// The default seccomp profile, in the format of engines
    Seccomp,
    /// A profile that allows the program to create user namespaces
    Apparmor,
}
