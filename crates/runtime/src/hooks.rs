//! Hooks in the runtime's namespaces; runtime-spec, config.md "POSIX-platform Hooks".

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::errno::Errno;
use oci_spec::runtime::Hook;
use serde::Serialize;

use crate::error::{Context, Error, Result};
use crate::process::wait_readable;
use crate::state::{Record, Status};
use crate::sys;

/// The state that a hook gets on its standard input; runtime-spec, runtime.md "State".
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HookState<'a> {
    oci_version: &'a str,
    id: &'a str,
    status: Status,
    pid: i32,
    bundle: &'a std::path::Path,
    #[serde(skip_serializing_if = "std::collections::HashMap::is_empty")]
    annotations: &'a std::collections::HashMap<String, String>,
}

impl<'a> HookState<'a> {
    /// The state of a recorded container.
    pub(crate) fn of(record: &'a Record, status: Status) -> Self {
        Self {
            oci_version: &record.oci_version,
            id: &record.id,
            status,
            pid: if status == Status::Stopped { 0 } else { record.init.map_or(0, |p| p.pid) },
            bundle: &record.bundle,
            annotations: &record.annotations,
        }
    }

    /// The state of a container that is not recorded in this process.
    pub(crate) fn new(plan: &'a crate::plan::Plan, status: Status, pid: i32) -> Self {
        Self {
            oci_version: &plan.oci_version,
            id: plan.id.as_str(),
            status,
            pid,
            bundle: &plan.bundle,
            annotations: &plan.annotations,
        }
    }
}

/// Runs hooks in their order; the first failure ends it.
///
/// A hook without `env` gets `default_env` where that is given, else the runtime's own, as in runc.
pub(crate) fn run(
    kind: &str,
    hooks: &[Hook],
    state: &HookState<'_>,
    default_env: Option<&[std::ffi::CString]>,
) -> Result<()> {
    let json = serde_json::to_vec(state).map_err(|e| Error::system(e.to_string()))?;
    for (index, hook) in hooks.iter().enumerate() {
        run_one(hook, &json, default_env)
            .map_err(|e| e.wrap(format!("error running {kind} hook #{index}: {:?}", hook.path())))?;
    }
    Ok(())
}

/// Runs the poststop hooks of a container that has ended. runtime-spec, runtime.md "Lifecycle" 13: a
/// failure is logged, and the rest goes on.
pub(crate) fn run_poststop(record: &Record) {
    for hook in record.hooks.iter().filter_map(|h| h.poststop().as_ref()).flatten() {
        let state = HookState::of(record, Status::Stopped);
        if let Err(error) = run("poststop", std::slice::from_ref(hook), &state, None) {
            tracing::warn!("{error}");
        }
    }
}

fn run_one(hook: &Hook, state: &[u8], default_env: Option<&[std::ffi::CString]>) -> Result<()> {
    let mut child = spawn(hook, default_env)?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(state) {
            // A hook need not read its input.
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
                stop(&mut child);
                return Err(e).context(|| "write its standard input");
            }
            _ => {}
        }
    }
    if let Some(seconds) = hook.timeout() {
        let pidfd = sys::process::pidfd_open(child.id() as i32).context(|| "pidfd_open")?;
        if !ended_within(&pidfd, seconds)? {
            stop(&mut child);
            return Err(Error::system(format!("did not end within its timeout of {seconds} s")));
        }
    }
    let status = child.wait().context(|| "wait")?;
    if status.success() { Ok(()) } else { Err(Error::system(status.to_string())) }
}

fn ended_within(pidfd: &std::os::fd::OwnedFd, seconds: i64) -> Result<bool> {
    use std::os::fd::AsFd;
    let end = std::time::Instant::now() + std::time::Duration::from_secs(seconds.max(0) as u64);
    loop {
        let left = end.saturating_duration_since(std::time::Instant::now()).as_millis();
        let ended = wait_readable(pidfd.as_fd(), u16::try_from(left).unwrap_or(30_000).min(30_000))?;
        if ended || left == 0 {
            return Ok(ended);
        }
    }
}

fn stop(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn spawn(hook: &Hook, default_env: Option<&[std::ffi::CString]>) -> Result<Child> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let mut command = Command::new(hook.path());
    if let Some((name, args)) = hook.args().as_ref().and_then(|a| a.split_first()) {
        command.arg0(name).args(args);
    }
    let pairs: Option<Vec<(&OsStr, &OsStr)>> = match (hook.env(), default_env) {
        (Some(env), _) => Some(
            env.iter().filter_map(|e| e.split_once('=')).map(|(k, v)| (k.as_ref(), v.as_ref())).collect(),
        ),
        (None, Some(env)) => Some(
            env.iter()
                .filter_map(|e| {
                    let bytes = e.to_bytes();
                    let at = bytes.iter().position(|b| *b == b'=')?;
                    Some((OsStr::from_bytes(&bytes[..at]), OsStr::from_bytes(&bytes[at + 1..])))
                })
                .collect(),
        ),
        (None, None) => None,
    };
    if let Some(pairs) = pairs {
        command.env_clear().envs(pairs);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    command.spawn().map_err(|e| match e.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) => Error::system("no such file; its path is of the namespace it runs in"),
        Some(Errno::EACCES) => Error::system("EACCES: it has to be executable by the caller"),
        _ => Error::from(e),
    })
}
