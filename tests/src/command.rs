//! Commands that run as a test's account: every wait is limited, and all output is kept.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::fs::fchown;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use serde_json::Value;

use crate::wait::{LIMIT, holds_within};
use crate::{Account, Test};

/// The search path for commands; an ordinary user's own may lack the sbin directories.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command to be started as an account, with an environment of its own.
#[derive(Debug)]
pub struct Cmd {
    argv: Vec<OsString>,
    environment: Vec<(String, OsString)>,
    account: Account,
    dir: PathBuf,
    output: PathBuf,
    stdin: Option<Stdio>,
    stdout: Option<Stdio>,
    stderr: Option<Stdio>,
    limit: Duration,
    by_root: bool,
}

impl Cmd {
    pub(crate) fn new(test: &Test, program: &OsStr) -> Self {
        let account = test.account().clone();
        let mut environment = vec![
            ("PATH".to_owned(), PATH.into()),
            ("HOME".to_owned(), account.home.clone().into()),
            ("USER".to_owned(), account.name.clone().into()),
            ("TERM".to_owned(), "xterm".into()),
            ("ROOTLING_TEST".to_owned(), test.marker().into()),
        ];
        if let Some(dir) = &account.runtime_dir {
            environment.push(("XDG_RUNTIME_DIR".to_owned(), dir.clone().into()));
        }
        Self {
            argv: vec![program.to_owned()],
            environment,
            account,
            dir: test.path(""),
            output: test.path(&format!("output{}", test.next_serial())),
            stdin: None,
            stdout: None,
            stderr: None,
            limit: LIMIT,
            by_root: false,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg<S: AsRef<OsStr>>(mut self, arg: S) -> Self {
        self.argv.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: &[S]) -> Self {
        self.argv.extend(args.iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Puts `prefix` before the command, as in `setsid -c COMMAND`.
    #[must_use]
    pub fn under<S: AsRef<OsStr>>(mut self, prefix: &[S]) -> Self {
        self.argv.splice(0..0, prefix.iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the command's environment.
    #[must_use]
    pub fn env<S: AsRef<OsStr>>(mut self, name: &str, value: S) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Removes a variable from the command's environment.
    #[must_use]
    pub fn without_env(mut self, name: &str) -> Self {
        self.environment.retain(|(known, _)| known != name);
        self
    }

    /// Starts the command as root, which becomes the account later: for [`crate::Variation`].
    pub(crate) fn started_by_root(mut self) -> Self {
        self.by_root = true;
        self
    }

    /// Sets the working directory; the default is the test's own.
    #[must_use]
    pub fn dir<P: Into<PathBuf>>(mut self, dir: P) -> Self {
        self.dir = dir.into();
        self
    }

    /// Gives the command these bytes as its standard input; the default is /dev/null.
    #[must_use]
    pub fn input(mut self, bytes: &[u8]) -> Self {
        let path = self.output.with_extension("stdin");
        fs::write(&path, bytes).expect("write the input");
        self.stdin = Some(File::open(&path).expect("open the input").into());
        self
    }

    /// Gives the command another standard input; the default is /dev/null.
    #[must_use]
    pub fn stdin<S: Into<Stdio>>(mut self, stdin: S) -> Self {
        self.stdin = Some(stdin.into());
        self
    }

    /// Gives the command another standard output; by default it is kept.
    #[must_use]
    pub fn stdout<S: Into<Stdio>>(mut self, stdout: S) -> Self {
        self.stdout = Some(stdout.into());
        self
    }

    /// Gives the command another standard error; by default it is kept.
    #[must_use]
    pub fn stderr<S: Into<Stdio>>(mut self, stderr: S) -> Self {
        self.stderr = Some(stderr.into());
        self
    }

    /// Sets how long it may run; the default is [`LIMIT`].
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Starts the command.
    pub fn spawn(self) -> Running {
        let shown = self.argv.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ");
        self.try_spawn().unwrap_or_else(|error| panic!("start {shown}: {error}"))
    }

    /// Runs the command to its end.
    pub fn output(self) -> Output {
        self.spawn().output()
    }

    /// Like [`Cmd::output`], for cleaning up: a failure to start does not panic.
    pub(crate) fn try_output(self) -> std::io::Result<Output> {
        self.try_spawn().map(Running::output)
    }

    fn try_spawn(self) -> std::io::Result<Running> {
        // Files instead of pipes: a detached container keeps them open, and a reader would wait for it.
        let kept = |extension: &str| -> std::io::Result<Stdio> {
            let file = File::create(self.output.with_extension(extension))?;
            fchown(&file, Some(self.account.uid), Some(self.account.gid))?;
            Ok(file.into())
        };
        let mut command = Command::new(&self.argv[0]);
        command
            .args(&self.argv[1..])
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.dir)
            .stdout(kept("stdout")?)
            .stderr(kept("stderr")?)
            .stdin(self.stdin.unwrap_or_else(Stdio::null));
        if let Some(stdout) = self.stdout {
            command.stdout(stdout);
        }
        if let Some(stderr) = self.stderr {
            command.stderr(stderr);
        }
        if geteuid().is_root() && !self.by_root {
            // This also drops the supplementary groups.
            command.uid(self.account.uid).gid(self.account.gid);
        }
        let child = command.spawn()?;
        let shown = self.argv.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ");
        Ok(Running { child, shown, output: self.output, limit: self.limit })
    }
}

/// A started command, which is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    /// The process, for its pipes.
    pub child: Child,
    shown: String,
    output: PathBuf,
    limit: Duration,
}

impl Running {
    /// The process id.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).expect("signal a running command");
    }

    /// Sends a signal by its number: those for real time have no name in nix.
    pub fn signal_number(&self, number: i32) {
        let command = format!("kill -{number} {}", self.pid());
        let status = Command::new("sh").args(["-c", &command]).status().expect("start a shell");
        assert!(status.success(), "{command}: {status}");
    }

    /// What it has written so far.
    pub fn so_far(&self) -> (String, String) {
        (self.read("stdout"), self.read("stderr"))
    }

    /// Waits until its standard output is `text`.
    pub fn prints(&mut self, text: &str) {
        let mut ended = false;
        let printed = holds_within(self.limit, || {
            ended = !matches!(self.child.try_wait(), Ok(None));
            ended || self.read("stdout") == text
        });
        let (stdout, stderr) = self.so_far();
        let shown = &self.shown;
        assert!(
            printed && !ended,
            "ended or did not print {text:?}: {shown}\nstdout: {stdout}\nstderr: {stderr}"
        );
    }

    /// Waits for it to end.
    pub fn output(mut self) -> Output {
        let mut status = None;
        let limit = self.limit;
        let ended = holds_within(limit, || {
            status = self.child.try_wait().expect("wait for a command");
            status.is_some()
        });
        let (stdout, stderr) = self.so_far();
        assert!(ended, "not ended within {limit:?}: {}\nstdout: {stdout}\nstderr: {stderr}", self.shown);
        let status = status.expect("ended");
        Output { status, stdout, stderr, command: self.shown.clone(), kept: self.output.clone() }
    }

    /// The output of a command whose end a tracer has waited for.
    pub(crate) fn ended(self, status: ExitStatus) -> Output {
        let (stdout, stderr) = self.so_far();
        Output { status, stdout, stderr, command: self.shown.clone(), kept: self.output.clone() }
    }

    fn read(&self, extension: &str) -> String {
        read(&self.output, extension)
    }
}

/// The output of a command that was kept so far.
fn read(kept: &Path, extension: &str) -> String {
    let bytes = fs::read(kept.with_extension(extension)).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Output {
    status: ExitStatus,
    /// Standard output, if it was kept.
    pub stdout: String,
    /// Standard error, if it was kept.
    pub stderr: String,
    command: String,
    kept: PathBuf,
}

impl Output {
    /// The exit code, or the negated signal number if it was killed.
    pub fn exit(&self) -> i32 {
        self.status.code().unwrap_or_else(|| -self.status.signal().unwrap_or_default())
    }

    /// Asserts the exit code.
    #[must_use]
    pub fn code(self, expected: i32) -> Self {
        let found = self.exit();
        assert!(found == expected, "exit {found}, not {expected}: {self}");
        self
    }

    /// Asserts success.
    #[allow(clippy::must_use_candidate, clippy::return_self_not_must_use)]
    pub fn ok(self) -> Self {
        self.code(0)
    }

    /// Asserts failure with exactly one line on standard error, which contains each of `parts`,
    /// and nothing on standard output.
    pub fn fails_with(&self, parts: &[&str]) {
        let exit = self.exit();
        assert!(exit > 0, "exit {exit}, not a failure: {self}");
        assert!(self.stderr.lines().count() == 1 && self.stderr.ends_with('\n'), "not one line: {self}");
        assert!(self.stdout.is_empty(), "output of a failed command: {self}");
        for part in parts {
            assert!(self.stderr.contains(part), "the error does not mention {part:?}: {self}");
        }
    }

    /// The same with what was written since by a process that inherited the command's streams, as the program of a
    /// container does from `create`.
    #[must_use]
    pub fn read_again(mut self) -> Self {
        self.stdout = read(&self.kept, "stdout");
        self.stderr = read(&self.kept, "stderr");
        self
    }

    /// Standard output without the final newline.
    pub fn text(&self) -> &str {
        self.stdout.trim_end()
    }

    /// Standard output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON: {error}: {self}"))
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { status, stdout, stderr, command, .. } = self;
        write!(f, "{command}\n{status}\nstdout: {stdout}\nstderr: {stderr}")
    }
}
