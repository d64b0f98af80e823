//! Runs hooks; runtime-spec, config.md "POSIX-platform Hooks".

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use oci_spec::runtime::Hook;
use serde::Serialize;

use crate::error::{Context, Error, ErrorKind, Result, no_process};
use rootling_sys as sys;
use rootling_sys::signals::Signals;

use crate::blueprint::Identity;

/// The state that a hook gets on its standard input; runtime-spec, runtime.md "State".
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HookState<'a> {
    oci_version: &'a str,
    id: &'a str,
    status: &'static str,
    pid: i32,
    bundle: &'a Path,
    #[serde(skip_serializing_if = "std::collections::HashMap::is_empty")]
    annotations: &'a std::collections::HashMap<String, String>,
}

impl<'a> HookState<'a> {
    /// The state of a container with this status.
    pub fn new(identity: &'a Identity, status: &'static str, pid: i32) -> Self {
        Self {
            oci_version: &identity.oci_version,
            id: identity.id.as_str(),
            status,
            pid,
            bundle: &identity.bundle,
            annotations: &identity.annotations,
        }
    }
}

/// The setting in which a hook is run.
#[derive(Clone, Copy, Default)]
pub struct Setting<'a> {
    /// The environment of a hook without `env`; the runtime's own if this is `None`, as in runc.
    pub default_env: Option<&'a [std::ffi::CString]>,
    /// The runtime's signals: one that asks the runtime to end ends the hook.
    pub signals: Option<&'a Signals>,
    /// Its working directory; the runtime's own if this is `None`.
    pub dir: Option<&'a Path>,
    /// Whether the hook is killed when the process that runs it ends for any reason. What the hook leaves in the
    /// background is not.
    pub dies_with_us: bool,
    /// The process without which the hook is of no use: when it ends, the hook is ended.
    pub process: Option<BorrowedFd<'a>>,
}

/// Runs hooks in order, up to the first failure.
pub fn run(kind: &str, hooks: &[Hook], state: &HookState<'_>, setting: Setting<'_>) -> Result<()> {
    let json = serde_json::to_vec(state)?;
    for (index, hook) in hooks.iter().enumerate() {
        tracing::debug!("running {kind} hook #{index}: {:?}", hook.path());
        run_one(hook, &json, setting)
            .map_err(|e| e.wrap(format!("error running {kind} hook #{index}: {:?}", hook.path())))?;
    }
    Ok(())
}

fn run_one(hook: &Hook, state: &[u8], setting: Setting<'_>) -> Result<()> {
    let mut child = spawn(hook, setting)?;
    // A hook that does not read its state must not kill us: our SIGPIPE disposition is the one that the program is to
    // inherit.
    let before = sys::process::ignore_broken_pipes();
    let result = converse(&mut child, hook, state, setting);
    sys::process::restore_broken_pipes(before);
    if result.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let (status, said) = result?;
    if status.success() {
        return Ok(());
    }
    let why = match status.signal().and_then(|number| Signal::try_from(number).ok()) {
        Some(signal) => format!("killed by {signal}: {}", describe_signal(signal)),
        None => status.to_string(),
    };
    Err(Error::system(if said.is_empty() { why } else { format!("{why}; it said: {said}") }))
}

/// Describes signals that indicate a defect in the words of strsignal(3); for others the name says enough.
fn describe_signal(signal: Signal) -> &'static str {
    match signal {
        Signal::SIGSYS => "bad system call, which linux.seccomp does not allow",
        Signal::SIGSEGV => "segmentation fault",
        Signal::SIGABRT => "aborted",
        Signal::SIGKILL => "killed, by its memory limit or by hand",
        _ => "terminated",
    }
}

/// Writes the state to the hook, collects its standard error, and waits for it to end.
fn converse(
    child: &mut Child,
    hook: &Hook,
    state: &[u8],
    setting: Setting<'_>,
) -> Result<(ExitStatus, String)> {
    let end =
        hook.timeout().map(|seconds| (seconds, Instant::now() + Duration::from_secs(seconds.max(0) as u64)));
    let mut talk = Talk::new(child, state);
    // If a seccomp profile forbids pidfds, poll for the end instead.
    let pidfd = sys::process::pidfd_open(child.id() as i32).ok();
    loop {
        let left = end.map(|(_, end)| end.saturating_duration_since(Instant::now()));
        let signal = talk.wait(pidfd.as_ref(), setting, left)?;
        if let Some(status) = child.try_wait().context(|| "wait")? {
            talk.listen();
            return Ok((status, talk.text()));
        }
        if setting
            .process
            .is_some_and(|process| sys::poll::wait_readable(process, Duration::ZERO) == Ok(true))
        {
            return Err(Error::system("the container's first process has ended while the hook ran"));
        }
        if let Some(signal) = signal {
            let text = format!("interrupted by signal {signal}");
            return Err(Error::new(ErrorKind::Interrupted(signal), text));
        }
        if let (Some((seconds, _)), Some(Duration::ZERO)) = (end, left) {
            return Err(Error::system(format!(
                "did not end within its timeout of {seconds} s; raise timeout, or fix the hook"
            )));
        }
    }
}

/// What a hook is told on its standard input, and the first part of what it writes to its standard error, for the
/// message.
struct Talk<'a> {
    to: Option<ChildStdin>,
    state: &'a [u8],
    from: Option<ChildStderr>,
    said: Vec<u8>,
}

impl<'a> Talk<'a> {
    /// As much as fits on a line of an error, in bytes.
    const LIMIT: usize = 1024;

    fn new(child: &mut Child, state: &'a [u8]) -> Self {
        let (to, from) = (child.stdin.take(), child.stderr.take());
        // A hook need not read its input, and a process that it leaves in the background may keep both streams open.
        let open =
            to.as_ref().map(AsRawFd::as_raw_fd).into_iter().chain(from.as_ref().map(AsRawFd::as_raw_fd));
        for fd in open {
            let _ = fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK));
        }
        let mut talk = Self { to, state, from, said: Vec::new() };
        talk.tell();
        talk
    }

    /// Writes as much as the hook accepts now; the end of the state is the end of its input.
    fn tell(&mut self) {
        while let Some(to) = &mut self.to {
            match to.write(self.state) {
                Ok(length) if length < self.state.len() => self.state = &self.state[length..],
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return,
                _ => self.to = None,
            }
        }
    }

    /// Waits for output, for the hook to end, or for a signal, at most for `limit`; returns the signal that asks the
    /// runtime to end.
    fn wait(
        &mut self,
        pidfd: Option<&OwnedFd>,
        setting: Setting<'_>,
        left: Option<Duration>,
    ) -> Result<Option<i32>> {
        const UNSEEN_END: Duration = Duration::from_millis(20);
        let limit = if pidfd.is_none() { Some(left.unwrap_or(UNSEEN_END).min(UNSEEN_END)) } else { left };
        let timeout = limit.map_or(PollTimeout::NONE, |limit| {
            // Rounded up, so that the last millisecond is not a busy loop.
            PollTimeout::try_from(limit.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX)
        });
        let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(5);
        fds.extend(pidfd.map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)));
        fds.extend(self.from.as_ref().map(|from| PollFd::new(from.as_fd(), PollFlags::POLLIN)));
        fds.extend(self.to.as_ref().map(|to| PollFd::new(to.as_fd(), PollFlags::POLLOUT)));
        fds.extend(setting.signals.map(|signals| PollFd::new(signals.as_fd(), PollFlags::POLLIN)));
        fds.extend(setting.process.map(|process| PollFd::new(process, PollFlags::POLLIN)));
        match poll(&mut fds, timeout) {
            Err(Errno::EINTR) => {}
            other => drop(other.context(|| "poll")?),
        }
        self.tell();
        self.listen();
        let Some(signals) = setting.signals else { return Ok(None) };
        while let Some((number, _)) = signals.next().context(|| "read(signalfd)")? {
            if Signals::is_end(number) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Reads what is there, and stops listening at the end of the stream.
    fn listen(&mut self) {
        let mut buffer = [0u8; 4096];
        while let Some(from) = &mut self.from {
            match from.read(&mut buffer) {
                Ok(length) if length > 0 => {
                    let room = Self::LIMIT.saturating_sub(self.said.len());
                    self.said.extend_from_slice(&buffer[..length.min(room)]);
                }
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => return,
                _ => self.from = None,
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.said).trim().replace(['\n', '\r'], " ")
    }
}

fn spawn(hook: &Hook, setting: Setting<'_>) -> Result<Child> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let mut command = Command::new(hook.path());
    if let Some((name, args)) = hook.args().as_ref().and_then(|a| a.split_first()) {
        command.arg0(name).args(args);
    }
    let pairs: Option<Vec<(&OsStr, &OsStr)>> = match (hook.env(), setting.default_env) {
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
    if let Some(dir) = setting.dir {
        command.current_dir(dir);
    }
    // A hook's output appears in the error if it fails; if it succeeds nobody sees it, as in runc.
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    if setting.dies_with_us {
        sys::process::die_with_parent(&mut command);
    }
    command.spawn().map_err(|e| match e.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT) => {
            Error::system("no such file; the path is looked up in the namespace that it runs in")
        }
        Some(Errno::EACCES) => Error::system("EACCES: it has to be executable by the caller"),
        _ => no_process(Error::from(e)),
    })
}
