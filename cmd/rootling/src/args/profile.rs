//! `profile`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct Profile {
    /// The one to print
    #[arg(value_name = "KIND")]
    pub(crate) kind: Kind,
    /// The program that an AppArmor profile is for, by its path; this one without it
    #[arg(long, value_name = "PATH")]
    pub(crate) program: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The default seccomp profile, as engines take it
    Seccomp,
    /// What lets this program make user namespaces where AppArmor restricts them
    Apparmor,
}
