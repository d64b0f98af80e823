//! `exec`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(override_usage = "rootling exec [OPTIONS] <CONTAINER-ID> <COMMAND> [ARGS]...\n       \
                            rootling exec [OPTIONS] --process <FILE> <CONTAINER-ID>")]
pub(crate) struct Exec {
    /// Id of the container, then the program and its arguments
    // A single list: whatever follows the id belongs to the program, even if it looks like one of our options.
    #[arg(value_name = "CONTAINER-ID", required = true, num_args = 1.., trailing_var_arg = true)]
    pub(crate) words: Vec<String>,
    /// Read the whole description of the process, in JSON, from this file
    #[arg(short, long, value_name = "FILE")]
    pub(crate) process: Option<PathBuf>,
    /// Start in this directory of the container
    #[arg(long, value_name = "DIR")]
    pub(crate) cwd: Option<PathBuf>,
    /// Set an environment variable; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub(crate) env: Vec<String>,
    /// Give the program a terminal
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Run as this user, and with this group instead of the container's
    #[arg(short, long, value_name = "UID[:GID]", value_parser = user)]
    pub(crate) user: Option<(u32, Option<u32>)>,
    /// Add a supplementary group; may be repeated
    #[arg(short = 'g', long, value_name = "GID")]
    pub(crate) additional_gids: Vec<u32>,
    /// Exit as soon as the program runs
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Write the program's pid to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Set the SELinux label of the program
    #[arg(long, value_name = "LABEL")]
    pub(crate) process_label: Option<String>,
    /// Set the AppArmor profile of the program
    #[arg(long, value_name = "PROFILE")]
    pub(crate) apparmor: Option<String>,
    /// Prevent the program from gaining privileges
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) no_new_privs: Option<bool>,
    /// Add a capability; may be repeated
    #[arg(short, long, value_name = "CAPABILITY")]
    pub(crate) cap: Vec<String>,
    /// Pass this many file descriptors after standard error to the program
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) preserve_fds: u32,
    /// Send the master of the program's terminal to this Unix socket
    #[arg(long, value_name = "SOCKET")]
    pub(crate) console_socket: Option<PathBuf>,
    /// Send a pidfd of the program to this Unix socket
    #[arg(long, value_name = "SOCKET")]
    pub(crate) pidfd_socket: Option<PathBuf>,
    /// Run the program in this cgroup below the container's; may be repeated with cgroup v1
    #[arg(long, value_name = "[CONTROLLER:]PATH")]
    pub(crate) cgroup: Vec<String>,
    /// Run the program even if the container is paused
    #[arg(long)]
    pub(crate) ignore_paused: bool,
}

/// `UID` or `UID:GID`.
fn user(text: &str) -> Result<(u32, Option<u32>), String> {
    let number = |what: &str, text: &str| {
        text.parse().map_err(|_| format!("bad {what} {text:?}: write numbers, as in 1000:1000"))
    };
    match text.split_once(':') {
        Some((uid, gid)) => Ok((number("uid", uid)?, Some(number("gid", gid)?))),
        None => Ok((number("uid", text)?, None)),
    }
}
