//! `checkpoint` and `restore`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Id;

/// Options of both.
#[derive(Debug, Args)]
pub(crate) struct Criu {
    /// Use this directory for the images [default: checkpoint]
    #[arg(long, value_name = "DIR")]
    pub(crate) image_path: Option<PathBuf>,
    /// Use this directory for the log and other files of CRIU [default: that of the images]
    #[arg(long, value_name = "DIR")]
    pub(crate) work_path: Option<PathBuf>,
    /// Allow established TCP connections
    #[arg(long)]
    pub(crate) tcp_established: bool,
    /// Allow Unix sockets with a peer outside the container
    #[arg(long)]
    pub(crate) ext_unix_sk: bool,
    /// Allow a session and a terminal from outside the container
    #[arg(long)]
    pub(crate) shell_job: bool,
    /// Allow file locks
    #[arg(long)]
    pub(crate) file_locks: bool,
    /// Deduplicate memory pages
    #[arg(long)]
    pub(crate) auto_dedup: bool,
    /// Transfer memory pages only when they are needed
    #[arg(long)]
    pub(crate) lazy_pages: bool,
    /// Manage cgroups in this mode [default: soft]
    #[arg(long, value_name = "MODE", hide_default_value = true)]
    pub(crate) manage_cgroups_mode: Option<CgroupsMode>,
    /// Accepted for compatibility: network, the only value, is always left out
    #[arg(long, value_name = "NAMESPACE", action = clap::ArgAction::Append)]
    pub(crate) empty_ns: Vec<EmptyNamespace>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CgroupsMode {
    Soft,
    Full,
    Strict,
    Ignore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EmptyNamespace {
    Network,
}

#[derive(Debug, Args)]
pub(crate) struct Checkpoint {
    #[command(flatten)]
    pub(crate) id: Id,
    #[command(flatten)]
    pub(crate) criu: Criu,
    /// Use an earlier pre-dump in this directory, relative to that of the images
    #[arg(long, value_name = "DIR")]
    pub(crate) parent_path: Option<PathBuf>,
    /// Keep the container running
    #[arg(long)]
    pub(crate) leave_running: bool,
    /// Leave out TCP connections that are being established
    #[arg(long)]
    pub(crate) tcp_skip_in_flight: bool,
    /// Allow open files that have been deleted, by linking them again
    #[arg(long)]
    pub(crate) link_remap: bool,
    /// Save only the memory, and keep the container running
    #[arg(long)]
    pub(crate) pre_dump: bool,
    /// Write a zero byte to this file descriptor when --lazy-pages can begin
    #[arg(long, value_name = "FD", default_value_t = -1, allow_negative_numbers = true, hide_default_value = true)]
    pub(crate) status_fd: i32,
    /// Send the memory to this page server
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = page_server)]
    pub(crate) page_server: Option<(String, u16)>,
}

/// `ADDRESS:PORT`, an IPv6 address in brackets.
fn page_server(value: &str) -> Result<(String, u16), String> {
    let wrong = || "Use --page-server ADDRESS:PORT to specify page server".to_owned();
    let (address, port) = value.rsplit_once(':').ok_or_else(wrong)?;
    let address = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
    if address.is_empty() || port.is_empty() {
        return Err(wrong());
    }
    let port = port.parse().map_err(|_| "Invalid port number; use one from 1 to 65535".to_owned())?;
    Ok((address.to_owned(), port))
}

#[derive(Debug, Args)]
pub(crate) struct Restore {
    #[command(flatten)]
    pub(crate) id: Id,
    /// Use the bundle in this directory [default: the current directory]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// Write the pid of the container's first process to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) pid_file: Option<PathBuf>,
    /// Send the master of the container's terminal to this Unix socket
    #[arg(long, value_name = "SOCKET")]
    pub(crate) console_socket: Option<PathBuf>,
    /// Exit as soon as the container runs
    #[arg(short, long)]
    pub(crate) detach: bool,
    /// Do not adopt orphaned processes of the container
    #[arg(long)]
    pub(crate) no_subreaper: bool,
    /// Accepted for compatibility with runc; has no effect
    #[arg(long)]
    pub(crate) no_pivot: bool,
    /// Use another profile of a security module
    #[arg(long, value_name = "TYPE:NAME")]
    pub(crate) lsm_profile: Option<String>,
    /// Use another SELinux context for mounts that have one
    #[arg(long, value_name = "CONTEXT")]
    pub(crate) lsm_mount_context: Option<String>,
    #[command(flatten)]
    pub(crate) criu: Criu,
}
