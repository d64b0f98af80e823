//! What a process of a container is made with, whether it is the first one or one of `exec`.

use std::ffi::CString;
use std::path::PathBuf;

use nix::errno::Errno;
use rootling_config::capabilities::{self, CapSets};
use rootling_config::container::Process;
use rootling_config::process::memory_policy::MemoryPolicy;
use rootling_config::process::{env, rlimit};
use rootling_config::seccomp;

use rootling_sys as sys;

use crate::error::{Context, Result};
use crate::scheduling::Scheduling;

/// The attributes that are set between the clone and execve(2); `container` sets them.
pub struct Attributes {
    /// `process.args`.
    pub args: Vec<CString>,
    /// `process.env`, with each name only once.
    pub env: Vec<CString>,
    /// `env` has no HOME: it is taken from the image's etc/passwd.
    pub home_missing: bool,
    /// `process.cwd`.
    pub cwd: PathBuf,
    /// `process.user.uid`.
    pub uid: u32,
    /// `process.user.gid`.
    pub gid: u32,
    /// `process.user.additionalGids`.
    pub groups: Option<Vec<u32>>,
    /// Keep the caller's supplementary groups (`run.oci.keep_original_groups`, as in crun).
    pub keep_groups: bool,
    /// `process.user.umask`; 022 if there is none.
    pub umask: u32,
    /// `process.capabilities`, as bit sets.
    pub capabilities: CapSets,
    /// The highest capability number that this kernel knows.
    pub last_capability: u8,
    /// `process.noNewPrivileges`.
    pub no_new_privileges: bool,
    /// `linux.seccomp`, compiled.
    pub seccomp: Option<seccomp::Program>,
    /// `process.rlimits`: the number, the soft and the hard limit of each.
    pub rlimits: Vec<(u32, u64, u64)>,
    /// `process.scheduler`, `process.ioPriority` and `linux.memoryPolicy`.
    pub scheduling: Scheduling,
    /// `process.oomScoreAdj`.
    pub oom_score_adj: Option<i32>,
    /// `linux.personality`, as the argument of personality(2).
    pub personality: Option<u64>,
    /// Name of the session keyring to join.
    pub keyring: Option<CString>,
    /// How many descriptors beyond the standard streams the process keeps.
    pub preserve_fds: u32,
    /// `process.terminal`.
    pub terminal: bool,
    /// Rows and columns of the terminal.
    pub console_size: Option<(u16, u16)>,
    /// `process.selinuxLabel`.
    pub selinux_label: Option<String>,
}

/// The attributes that do not come from the `process` object.
pub struct Surroundings {
    /// How many sockets from systemd the process gets, sd_listen_fds(3).
    pub listen_fds: u32,
    /// Keep the caller's supplementary groups.
    pub keep_groups: bool,
    /// `linux.seccomp`, compiled.
    pub seccomp: Option<seccomp::Program>,
    /// `linux.personality`, as the argument of personality(2).
    pub personality: Option<u64>,
    /// `linux.memoryPolicy`.
    pub memory_policy: Option<MemoryPolicy>,
    /// Name of the session keyring to join.
    pub keyring: Option<String>,
    /// How many descriptors beyond the standard streams the process keeps, not counting those from systemd.
    pub preserve_fds: u32,
}

impl Attributes {
    /// The attributes for a `process` object; warnings go to `warn`.
    pub fn new(process: Process, surroundings: Surroundings, warn: &mut dyn FnMut(String)) -> Self {
        let Process { written: process, args, mut env, rlimits, scheduler, io_priority, .. } = process;
        let last_capability = last_capability();
        let (capabilities, warnings) = capabilities::sets(process.capabilities().as_ref(), last_capability);
        warnings.into_iter().for_each(warn);
        if surroundings.listen_fds > 0 {
            env::set(&mut env, "LISTEN_FDS", surroundings.listen_fds);
            // The program is pid 1 of its pid namespace.
            env::set(&mut env, "LISTEN_PID", 1);
        }
        let user = process.user();
        let console_size = process.console_size().and_then(|size| {
            let (rows, columns) = (u16::try_from(size.height()).ok()?, u16::try_from(size.width()).ok()?);
            (rows > 0 && columns > 0).then_some((rows, columns))
        });
        let memory_policy = surroundings.memory_policy;
        Self {
            args,
            home_missing: !env.iter().any(|e| e.as_bytes().starts_with(b"HOME=") && e.count_bytes() > 5),
            env,
            cwd: process.cwd().clone(),
            uid: user.uid(),
            gid: user.gid(),
            // If both are given, the annotation is the later request: engines add it to a configuration that has
            // groups.
            groups: user.additional_gids().clone().filter(|_| !surroundings.keep_groups),
            keep_groups: surroundings.keep_groups,
            umask: user.umask().unwrap_or(0o022),
            capabilities,
            last_capability,
            no_new_privileges: process.no_new_privileges().unwrap_or(false),
            seccomp: surroundings.seccomp,
            rlimits,
            scheduling: Scheduling { scheduler, io_priority, memory_policy },
            oom_score_adj: process.oom_score_adj(),
            personality: surroundings.personality,
            keyring: surroundings.keyring.and_then(|name| CString::new(name).ok()),
            preserve_fds: surroundings.preserve_fds + surroundings.listen_fds,
            terminal: process.terminal().unwrap_or(false),
            console_size,
            selinux_label: process.selinux_label().clone().filter(|l| !l.is_empty()),
        }
    }
}

impl Attributes {
    /// Whether the capabilities may be dropped only after the filter is loaded: without no_new_privs, loading it is
    /// privileged.
    pub(crate) fn waits_for_filter(&self) -> bool {
        self.seccomp.is_some() && !self.no_new_privileges
    }
}

/// The highest capability number that this kernel knows; CAP_CHECKPOINT_RESTORE is 40 since Linux 5.9.
fn last_capability() -> u8 {
    let known = |n: &u8| !matches!(sys::process::has_bounding(*n), Err(Errno::EINVAL));
    let newest = (41..64).take_while(known).last();
    newest.or_else(|| (0..=40).rev().find(known)).unwrap_or(0)
}

/// Sets `process.oomScoreAdj` of a process through the host's /proc. If the caller lacks the privilege to lower the
/// value, the process keeps the caller's, which is higher, and the result is a warning: engines set one for every
/// container.
pub fn set_oom_score(pid: &str, score: i32) -> Result<Option<String>> {
    let path = format!("/proc/{pid}/oom_score_adj");
    let what = || format!("process.oomScoreAdj: write({path:?}, {score})");
    let Err(error) = std::fs::write(&path, score.to_string()) else { return Ok(None) };
    let own = || std::fs::read_to_string(&path).ok()?.trim().parse::<i32>().ok();
    // Raising the value needs no privilege, so a refusal then has another reason.
    match own().filter(|own| error.kind() == std::io::ErrorKind::PermissionDenied && score < *own) {
        Some(own) => Ok(Some(format!(
            "process.oomScoreAdj: stays {own}, {score} was asked for: a value below the caller's takes CAP_SYS_RESOURCE \
             outside of any user namespace"
        ))),
        None => Err(error).context(what),
    }
}

/// Raises hard limits that are below what the program is to have. The process itself may lower its limits later, when
/// they no longer hamper its preparation, but may not raise them. `pid` 0 is the calling process.
pub fn raise_rlimits(pid: i32, rlimits: &[(u32, u64, u64)]) -> Result<()> {
    for (resource, soft, hard) in rlimits {
        let what =
            || format!("process.rlimits: {}: prlimit(soft {soft}, hard {hard})", rlimit::name(*resource));
        let (now, limit) = sys::process::rlimit(pid, *resource).context(what)?;
        if *hard > limit {
            sys::process::set_rlimit(pid, *resource, now, *hard).context(what).map_err(|e| {
                e.remedy(format!(
                    "the caller's hard limit is {limit}: to raise it takes CAP_SYS_RESOURCE outside of any user namespace"
                ))
            })?;
        }
    }
    Ok(())
}
