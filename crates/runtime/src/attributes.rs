//! What a process of a container is made with, its first one and those of `exec` alike.

use std::ffi::CString;
use std::path::PathBuf;

use nix::errno::Errno;
use oci_spec::runtime::{LinuxMemoryPolicy, Process};
use rootling_config::capabilities::{self, CapSets};
use rootling_config::process::{env, rlimit};
use rootling_config::seccomp;

use crate::error::{Error, Result};
use crate::scheduling::Scheduling;
use crate::sys;

/// The attributes that are set between the clone and execve(2); [`crate::child`] sets them.
pub(crate) struct Attributes {
    pub(crate) args: Vec<CString>,
    pub(crate) env: Vec<CString>,
    pub(crate) home_missing: bool,
    pub(crate) cwd: PathBuf,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Option<Vec<u32>>,
    /// The caller's supplementary groups stay (`run.oci.keep_original_groups`, as crun has it).
    pub(crate) keep_groups: bool,
    pub(crate) umask: u32,
    pub(crate) capabilities: CapSets,
    pub(crate) last_capability: u8,
    pub(crate) no_new_privileges: bool,
    pub(crate) seccomp: Option<seccomp::Program>,
    pub(crate) rlimits: Vec<(u32, u64, u64)>,
    pub(crate) scheduling: Scheduling,
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) personality: Option<u64>,
    pub(crate) keyring: Option<CString>,
    pub(crate) preserve_fds: u32,
    pub(crate) terminal: bool,
    /// Rows and columns.
    pub(crate) console_size: Option<(u16, u16)>,
    pub(crate) selinux_label: Option<String>,
}

/// What does not come from the `process` object.
pub(crate) struct Surroundings {
    /// Added to `process.env`.
    pub(crate) env: Vec<String>,
    pub(crate) keep_groups: bool,
    pub(crate) seccomp: Option<seccomp::Program>,
    pub(crate) personality: Option<u64>,
    pub(crate) memory_policy: Option<LinuxMemoryPolicy>,
    /// Name of the session keyring that is joined.
    pub(crate) keyring: Option<String>,
    pub(crate) preserve_fds: u32,
}

impl Attributes {
    /// The attributes that a validated `process` asks for; warnings go to `warn`.
    pub(crate) fn new(
        process: &Process,
        surroundings: Surroundings,
        warn: &mut dyn FnMut(String),
    ) -> Result<Self> {
        let last_capability = last_capability();
        let (capabilities, warnings) = capabilities::sets(process.capabilities().as_ref(), last_capability);
        warnings.into_iter().for_each(warn);
        let mut all = process.env().clone().unwrap_or_default();
        all.extend(surroundings.env);
        let env: Vec<String> = env::deduplicated(&all).into_iter().map(str::to_owned).collect();
        let user = process.user();
        let console_size = process.console_size().and_then(|size| {
            let (rows, columns) = (u16::try_from(size.height()).ok()?, u16::try_from(size.width()).ok()?);
            (rows > 0 && columns > 0).then_some((rows, columns))
        });
        Ok(Self {
            args: c_strings(process.args().as_deref().unwrap_or_default(), "process.args")?,
            home_missing: !env.iter().any(|e| e.starts_with("HOME=") && e.len() > 5),
            env: c_strings(&env, "process.env")?,
            cwd: process.cwd().clone(),
            uid: user.uid(),
            gid: user.gid(),
            groups: user.additional_gids().clone(),
            keep_groups: surroundings.keep_groups,
            umask: user.umask().unwrap_or(0o022),
            capabilities,
            last_capability,
            no_new_privileges: process.no_new_privileges().unwrap_or(false),
            seccomp: surroundings.seccomp,
            rlimits: rlimits(process),
            scheduling: Scheduling::new(process, surroundings.memory_policy.as_ref())?,
            oom_score_adj: process.oom_score_adj(),
            personality: surroundings.personality,
            keyring: surroundings.keyring.and_then(|name| c_string(&name).ok()),
            preserve_fds: surroundings.preserve_fds,
            terminal: process.terminal().unwrap_or(false),
            console_size,
            selinux_label: process.selinux_label().clone().filter(|l| !l.is_empty()),
        })
    }
}

fn rlimits(process: &Process) -> Vec<(u32, u64, u64)> {
    process.rlimits().iter().flatten().map(|l| (rlimit::number(l.typ()), l.soft(), l.hard())).collect()
}

/// The highest capability that this kernel knows; CAP_CHECKPOINT_RESTORE is 40 since Linux 5.9.
fn last_capability() -> u8 {
    let known = |n: &u8| !matches!(sys::process::has_bounding(*n), Err(Errno::EINVAL));
    let newest = (41..64).take_while(known).last();
    newest.or_else(|| (0..=40).rev().find(known)).unwrap_or(0)
}

fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::invalid(format!("{text:?} contains a NUL byte; remove it")))
}

fn c_strings(list: &[String], field: &str) -> Result<Vec<CString>> {
    list.iter().map(|s| c_string(s).map_err(|e| e.wrap(field))).collect()
}
