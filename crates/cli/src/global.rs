//! The options that every command has.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use rootling_config::CgroupManager;
use rootling_config::id::ContainerId;

/// Options that every command takes, before or after its name.
#[derive(Debug, Args)]
pub struct Global {
    /// Keep the state of containers in this directory
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Write the log to this file; errors are also written to standard error
    #[arg(long, global = true, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Write the log in this format
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", value_parser = log_format)]
    pub log_format: LogFormat,
    /// Log messages of this level and above
    #[arg(long, global = true, value_name = "LEVEL", default_value = "warning")]
    pub log_level: LogLevel,
    /// Log each step and the reason for it
    #[arg(long, global = true)]
    pub debug: bool,
    /// Let systemd manage cgroups; linux.cgroupsPath then has the form slice:prefix:name
    #[arg(long, global = true)]
    pub systemd_cgroup: bool,
    /// Choose what manages cgroups
    #[arg(long, global = true, value_name = "MANAGER", value_parser = manager())]
    pub cgroup_manager: Option<CgroupManager>,
    /// Use this program for checkpoint and restore
    #[arg(long, global = true, value_name = "PROGRAM", default_value = "criu")]
    pub criu: PathBuf,
    // Not accepted after the command: `spec` has a flag with that name, as in runc.
    /// Do without operations that only root may perform: true, false or auto
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        ignore_case = true
    )]
    pub rootless: Rootless,
    /// Print the version
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// A JSON object a line, for engines.
    Json,
}

/// runc treats an empty value as if the option were absent.
fn log_format(value: &str) -> Result<LogFormat, String> {
    if value.is_empty() {
        return Ok(LogFormat::Text);
    }
    LogFormat::from_str(value, false).map_err(|_| format!("invalid log-format: {value}; use text or json"))
}

fn manager() -> impl TypedValueParser<Value = CgroupManager> {
    PossibleValuesParser::new(CgroupManager::NAMES).try_map(|name| name.parse::<CgroupManager>())
}

/// How much is logged.
#[allow(missing_docs)] // The names say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum LogLevel {
    Error,
    #[value(alias = "warn")]
    Warning,
    Info,
    Debug,
}

/// `--rootless`.
#[allow(missing_docs)] // The names say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Rootless {
    Auto,
    #[value(alias = "1", alias = "t")]
    True,
    #[value(alias = "0", alias = "f")]
    False,
}

impl Global {
    /// The cgroup manager that was asked for.
    pub fn manager(&self) -> Option<CgroupManager> {
        if self.systemd_cgroup { Some(CgroupManager::Systemd) } else { self.cgroup_manager }
    }
}

/// The containers that a command is about.
#[derive(Debug, Args)]
pub struct Ids {
    // Checked one by one, since a bad one must not affect the others. With `--regex` they are patterns.
    /// Ids of the containers
    #[arg(value_name = "CONTAINER-ID", required = true)]
    pub ids: Vec<String>,
}

impl Ids {
    /// The container, if exactly one is given.
    pub fn only(&self) -> Option<&str> {
        if let [id] = self.ids.as_slice() { Some(id) } else { None }
    }
}

/// The container that a command is about.
#[derive(Debug, Args)]
pub struct Id {
    /// Id of the container
    #[arg(value_name = "CONTAINER-ID")]
    pub id: ContainerId,
}
