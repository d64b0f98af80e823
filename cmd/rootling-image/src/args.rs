//! The command line.
#![allow(rustdoc::broken_intra_doc_links)] // Brackets in a help text are no links.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use rootling_cli::global::Global;
use rootling_cli::terminal::in_one_line;
use rootling_cli::{SpecFlags, log};

/// Make bundles from images, and manage image layouts
#[derive(Debug, Parser)]
#[command(
    name = "rootling-image",
    bin_name = "rootling image",
    version,
    disable_version_flag = true,
    disable_help_subcommand = true,
    args_override_self = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a bundle from an image, an archive, or the host's busybox
    Unpack(Box<Unpack>),
    /// Copy an image from a registry to an image layout
    Pull(Pull),
    /// Show information about an image
    Inspect(Inspect),
    /// List the images of a layout
    List(OfLayout),
    /// Remove blobs that no image of a layout needs
    Gc(OfLayout),
    /// Write the manual pages into a directory
    Man {
        /// Directory, which is created if it does not exist
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
    },
    /// Print a script that completes commands and options in a shell
    Completion {
        /// Shell to print the script for
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
}

const IMAGE: &str = "oci:DIR[:REF], oci-archive:FILE[:REF], docker-archive:FILE[:REF], docker://REFERENCE, rootfs:FILE (`-` is \
     standard input), busybox:, or a path";

#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Unpack {
    #[arg(value_name = "IMAGE", help = IMAGE)]
    pub(crate) image: String,
    /// Directory to create; its parent has to exist
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    /// Replace a bundle that already exists
    #[arg(long)]
    pub(crate) force: bool,
    /// Run this program instead of the image's entrypoint; if it is empty, run only the arguments
    #[arg(long, value_name = "PROGRAM")]
    pub(crate) entrypoint: Option<String>,
    /// Refuse an image with more entries than this
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(crate) max_entries: u64,
    /// Refuse an image that is larger than this when it is unpacked
    #[arg(long, value_name = "SIZE", default_value = "64g")]
    pub(crate) max_size: String,
    /// Refuse a layer that is larger than 256 MiB and more than this many times its compressed size
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_ratio: u64,
    #[command(flatten)]
    pub(crate) choice: Choice,
    #[command(flatten)]
    pub(crate) registry: Registry,
    #[command(flatten)]
    pub(crate) flags: SpecFlags,
}

#[derive(Debug, Args)]
pub(crate) struct Choice {
    /// Choose the image of an index for this platform, such as linux/arm64 [default: that of this machine]
    #[arg(long, value_name = "OS/ARCHITECTURE[/VARIANT]")]
    pub(crate) platform: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Registry {
    /// Get the image from this server, which mirrors it
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) from: Option<String>,
    /// Allow plain HTTP and invalid certificates; plain HTTP to this machine is always allowed
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Also trust the certificate authorities in this PEM file
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// Image, such as docker.io/library/alpine:3 or registry.example.org/team/app@sha256:...
    #[arg(value_name = "REFERENCE")]
    pub(crate) reference: String,
    /// Directory of the layout, which is created if it does not exist
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    #[command(flatten)]
    pub(crate) choice: Choice,
    #[command(flatten)]
    pub(crate) registry: Registry,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// oci:DIR[:REF], oci-archive:FILE[:REF], or a path
    #[arg(value_name = "IMAGE")]
    pub(crate) image: String,
    #[command(flatten)]
    pub(crate) choice: Choice,
}

#[derive(Debug, Args)]
pub(crate) struct OfLayout {
    /// Directory of the layout
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl Command {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Unpack(_) => "unpack",
            Self::Pull(_) => "pull",
            Self::Inspect(_) => "inspect",
            Self::List(_) => "list",
            Self::Gc(_) => "gc",
            Self::Man { .. } => "man",
            Self::Completion { .. } => "completion",
        }
    }
}

/// An end without a command to execute.
pub(crate) enum End {
    /// Help, or the version.
    Answer(String),
    /// What is wrong with the line.
    Wrong(String),
}

impl End {
    pub(crate) fn show(&self) -> ExitCode {
        match self {
            Self::Answer(text) => {
                // A reader that has closed the pipe has seen enough.
                let _ = std::io::stdout().write_all(text.as_bytes());
                ExitCode::SUCCESS
            }
            Self::Wrong(message) => {
                log::failure(message);
                ExitCode::FAILURE
            }
        }
    }
}

/// The definition of the command line.
pub(crate) fn definition() -> clap::Command {
    let hidden = |arg: clap::Arg| arg.hide(true);
    // Global options of `rootling` that concern only containers.
    Cli::command().mut_arg("criu", hidden).mut_arg("rootless", hidden)
}

pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Cli, End> {
    let matches = definition().try_get_matches_from(args).and_then(|matches| Cli::from_arg_matches(&matches));
    matches.map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::DisplayVersion => End::Answer(error.to_string()),
        _ => End::Wrong(format!("image: {}; see `rootling image --help`", in_one_line(&error))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Cli, End> {
        parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_definition_is_sound() {
        definition().debug_assert();
    }

    #[test]
    fn flags_of_spec_are_those_of_unpack() {
        let Ok(cli) = parsed("rootling-image --root r unpack -e A=b busybox: dir -m 64m -v a:/b -- echo -x")
        else {
            panic!("a line");
        };
        let Command::Unpack(unpack) = cli.command else { panic!("unpack") };
        assert_eq!((unpack.image.as_str(), unpack.bundle), ("busybox:", "dir".into()));
        assert_eq!(unpack.flags.env, ["A=b"]);
        assert_eq!(unpack.flags.limits.memory.as_deref(), Some("64m"));
        assert_eq!(unpack.flags.args, ["echo", "-x"]);
        assert_eq!(cli.global.root, Some("r".into()));
    }

    #[test]
    fn what_is_wrong_is_one_line() {
        for line in
            ["rootling-image unpack busybox:", "rootling-image nosuch", "rootling-image pull a b --nosuch"]
        {
            match parsed(line) {
                Err(End::Wrong(text)) => assert!(!text.contains('\n') && text.contains("--help"), "{text}"),
                _ => panic!("{line}"),
            }
        }
    }
}
