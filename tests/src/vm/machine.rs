//! A machine of our own, managed by the scripts in `hack/vm`.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, PipeReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::{bounded, source};

/// The directory in the machine for what is put into it.
pub(super) const PLACE: &str = "/opt/rootling";

/// How long it may take to build the image or to start the machine.
const HOUR: Duration = Duration::from_hours(1);

/// A machine that is independent of any others. It is stopped when this is dropped.
pub(super) struct Machine {
    name: String,
    lifetime: Option<String>,
    /// Whether it is a system container, whatever the environment says.
    quick: bool,
    /// The files to be put into the machine.
    stage: Arc<TempDir>,
}

impl Machine {
    /// Builds the image if it does not exist. The machine may live for `minutes` if that is longer than usual.
    pub(super) fn new(minutes: Option<u64>) -> Result<Self, String> {
        let stage = tempfile::tempdir().map_err(|error| format!("make a directory: {error}"))?;
        let name = env::var("ROOTLING_VM_NAME").unwrap_or_else(|_| format!("test-{}", std::process::id()));
        let machine = Self {
            name,
            lifetime: minutes.map(|minutes| format!("{minutes}m")),
            quick: false,
            stage: Arc::new(stage),
        };
        expect_success("hack/vm/build.sh", bounded::run(&mut machine.script("build.sh"), HOUR)?)?;
        Ok(machine)
    }

    /// Another machine with the same files: the same disk, booted as a system container.
    pub(super) fn quick(&self) -> Self {
        let (name, lifetime) = (format!("{}-quick", self.name), self.lifetime.clone());
        Self { name, lifetime, quick: true, stage: Arc::clone(&self.stage) }
    }

    /// The path at which a file is collected for the machine, below [`PLACE`].
    pub(super) fn stage(&self, path: &str) -> Result<PathBuf, String> {
        let path = self.stage.path().join(path);
        let parent = path.parent().unwrap_or(&path);
        fs::create_dir_all(parent).map_err(|error| format!("make {}: {error}", parent.display()))?;
        Ok(path)
    }

    /// Starts the machine, and copies everything into it.
    pub(super) fn start(&self) -> Result<(), String> {
        expect_success("hack/vm/start.sh", bounded::run(&mut self.script("start.sh"), HOUR)?)?;
        let stage = self.stage.path();
        let mut chmod = Command::new("chmod");
        expect_success("chmod", bounded::run(chmod.args(["-R", "go+rX"]).arg(stage), HOUR)?)?;
        let entries = fs::read_dir(stage).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = entries.map_err(|error| format!("read {}: {error}", stage.display()))?;
        let mut put = self.script("put.sh");
        put.args(["root", PLACE]).args(entries.iter().map(fs::DirEntry::path));
        expect_success("hack/vm/put.sh", bounded::run(&mut put, Duration::from_mins(5))?)
    }

    /// A command of a user in the machine, whose words the shell there takes literally.
    pub(super) fn command(&self, user: &str, words: &[String]) -> Command {
        let mut command = self.script("run.sh");
        command.arg(user).arg(words.join(" "));
        command
    }

    /// Copies a directory out of the machine.
    pub(super) fn get(&self, user: &str, from: &str, to: &Path) -> Result<i32, String> {
        bounded::run(self.script("get.sh").arg(user).arg(from).arg(to), Duration::from_mins(2))
    }

    fn script(&self, name: &str) -> Command {
        let mut command = Command::new(source("hack/vm").join(name));
        command.env("ROOTLING_VM_NAME", &self.name).stdin(Stdio::null());
        if self.quick {
            command.env("ROOTLING_VM_ACCEL", "container");
        }
        if let Some(lifetime) = &self.lifetime {
            command.env("ROOTLING_VM_LIFETIME", lifetime);
        }
        command
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = bounded::clean_up(self.script("stop.sh").arg("--forget"), Duration::from_mins(1));
    }
}

/// Runs a command, and passes each line that it prints to `tell` as it arrives; everything is written to `log`.
/// Returns its exit code.
pub(super) fn stream(
    mut command: Command,
    limit: Duration,
    log: &Path,
    tell: impl Fn(&str) + Send + 'static,
) -> Result<i32, String> {
    let failed = |error: io::Error| format!("keep the output in {}: {error}", log.display());
    let file = File::create(log).map_err(failed)?;
    let (reader, writer) = io::pipe().map_err(failed)?;
    command.stdout(writer.try_clone().map_err(failed)?).stderr(writer);
    let child = bounded::start(&mut command)?;
    // It holds the other end of the pipe for as long as it exists.
    drop(command);
    let (done, all_is_read) = channel();
    thread::spawn(move || {
        pass_on(reader, file, &tell);
        done.send(())
    });
    let status = bounded::finish(child, limit, || bounded::interrupted().is_some());
    // A process that stays in the background may hold the pipe.
    let _ = all_is_read.recv_timeout(Duration::from_secs(10));
    status
}

fn pass_on(reader: PipeReader, mut log: File, tell: &impl Fn(&str)) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
        let _ = log.write_all(&line);
        tell(String::from_utf8_lossy(&line).trim_end_matches('\n'));
        line.clear();
    }
}

pub(super) fn expect_success(what: &str, code: i32) -> Result<(), String> {
    if code == 0 { Ok(()) } else { Err(format!("{what} failed with exit code {code}")) }
}

/// The directory for results of a kind; earlier contents are removed.
pub(super) fn results(kind: &str) -> Result<PathBuf, String> {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| source("target"), PathBuf::from);
    let dir = target.join(kind);
    let made = match fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(&dir),
    };
    made.map_err(|error| format!("make {} anew: {error}", dir.display()))?;
    dir.canonicalize().map_err(|error| format!("{}: {error}", dir.display()))
}
