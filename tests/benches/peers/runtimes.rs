//! The runtimes to compare.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::layouts::{Layout, Program};
use crate::works::Place;

/// The limit for a command, after which it is considered to hang.
const LIMIT: Duration = Duration::from_secs(30);

/// How a container gets its cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cgroups {
    /// It gets none, as for an ordinary user without delegation.
    None,
    /// By path, below a delegated cgroup.
    Path,
    /// As a scope of the systemd user manager.
    Systemd,
}

/// A runtime, and where it keeps its state.
pub(crate) struct Runtime {
    pub(crate) name: &'static str,
    program: Program,
    flags: &'static [&'static str],
    pub(crate) root: PathBuf,
    /// Whether it cannot run without a cgroup.
    pub(crate) only_by_path: bool,
}

/// The names in PATH, with the flags that an ordinary user without a cgroup needs.
pub(crate) const PEERS: [(&str, &[&str]); 3] =
    [("crun", &["--cgroup-manager=disabled"]), ("runc", &[]), ("youki", &[])];

/// Our runtime, and the peers that are installed and can run the bundle here.
pub(crate) fn find(binary: &Path, place: &Place) -> (Runtime, Vec<Runtime>) {
    let runtime = |name, program: PathBuf, flags| Runtime {
        name,
        program: Program::copied(&program, &place.work),
        flags,
        root: place.state.join(name),
        only_by_path: false,
    };
    // In a delegated cgroup, a runtime might or might not make one of its own otherwise.
    let ours = runtime("rootling", binary.to_owned(), &["--cgroup-manager=disabled"]);
    if let Err(why) = ours.try_run(&place.single) {
        panic!("rootling does not run the bundle: {why}");
    }
    let mut peers = Vec::new();
    for (name, flags) in PEERS {
        let Some(program) = in_path(name) else {
            println!("{name}: left out, it is not installed.");
            continue;
        };
        let mut peer = runtime(name, program, flags);
        let mut tried = peer.try_run(&place.single);
        if let (Err(_), Some(bundle)) = (&tried, &place.by_path) {
            peer.only_by_path = true;
            // What the first trial has left.
            let _ = std::fs::remove_dir_all(&peer.root);
            tried = peer.try_run_in(Cgroups::Path, bundle);
        }
        match tried {
            Ok(()) => {
                if peer.only_by_path {
                    println!("{name}: runs nothing without a cgroup, and has what makes one by path alone.");
                }
                println!("{name}: {}", peer.version());
                peers.push(peer);
            }
            Err(why) => println!("{name}: left out, it does not run the bundle: {why}"),
        }
    }
    (ours, peers)
}

/// How the command ended, and how long it took; it is killed if it does not end.
pub(crate) fn ended(command: &mut Command) -> (ExitStatus, Duration) {
    let start = Instant::now();
    let mut child = command.process_group(0).spawn().expect("start a runtime");
    let group = Pid::from_raw(-child.id().cast_signed());
    let (done, wait) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        if wait.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            let _ = kill(group, Signal::SIGKILL);
        }
    });
    let status = child.wait().expect("wait for a runtime");
    let elapsed = start.elapsed();
    drop(done);
    watch.join().expect("the watch ends");
    (status, elapsed)
}

pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let sbin = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    let mut candidates = std::env::split_paths(&path).chain(sbin).map(|dir| dir.join(name));
    candidates.find(|candidate| candidate.is_file())
}

impl Runtime {
    /// Chooses what is started from now on.
    pub(crate) fn choose(&self, layout: Layout) {
        self.program.choose(layout);
    }

    /// `RUNTIME --root DIR FLAGS... ARGS...`, without output.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        self.command_in(Cgroups::None, args)
    }

    fn command_in<S: AsRef<OsStr>>(&self, cgroups: Cgroups, args: &[S]) -> Command {
        let flags: &[&str] = match cgroups {
            Cgroups::None => self.flags,
            Cgroups::Path if self.name == "crun" => &["--cgroup-manager=cgroupfs"],
            Cgroups::Path => &[],
            Cgroups::Systemd => &["--systemd-cgroup"],
        };
        let mut command = Command::new(self.program.path());
        command.arg("--root").arg(&self.root).args(flags).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// The whole command line, to be run by another program.
    pub(crate) fn words<S: AsRef<OsStr>>(&self, args: &[S]) -> Vec<String> {
        let command = self.command(args);
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_string_lossy().into_owned()).collect()
    }

    /// The time from the start to the end of a command, which must succeed.
    pub(crate) fn time<S: AsRef<OsStr>>(&self, args: &[S]) -> Duration {
        self.time_in(Cgroups::None, args)
    }

    /// The same with another kind of cgroup.
    pub(crate) fn time_in<S: AsRef<OsStr>>(&self, cgroups: Cgroups, args: &[S]) -> Duration {
        for _ in 0..10 {
            let mut command = self.command_in(cgroups, args);
            let (status, elapsed) = ended(&mut command);
            if status.success() {
                return elapsed;
            }
            assert!(self.name != "rootling", "{status}: {}", self.words(args).join(" "));
            // A peer may fail or hang now and then, which is not what is measured: repeat it from the start, a moment later. Those
            // that copy themselves into a memfd fail several times in a row while the kernel still has pages of it in hand (EBUSY).
            println!("{}: {status}; once more", self.name);
            let id = args.last().map(AsRef::as_ref).unwrap_or_default();
            let _ = self.command(&["delete".as_ref(), "-f".as_ref(), id]).status();
            thread::sleep(Duration::from_millis(100));
        }
        panic!("{} fails again and again: {}", self.name, self.words(args).join(" "));
    }

    /// The pid of the first process of a container of ours.
    pub(crate) fn pid(&self, id: &str) -> Option<i64> {
        let output = self.command(&["state", id]).stdout(Stdio::piped()).output().expect("start a runtime");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).ok()?["pid"].as_i64()
    }

    /// Starts a command that takes some time.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, args: &[S]) -> Child {
        self.command(args).spawn().expect("start a runtime")
    }

    fn try_run(&self, bundle: &Path) -> Result<(), String> {
        self.try_run_in(Cgroups::None, bundle)
    }

    /// Checks whether it can run the bundle; the error says why not.
    pub(crate) fn try_run_in(&self, cgroups: Cgroups, bundle: &Path) -> Result<(), String> {
        let bundle = bundle.to_string_lossy();
        let trial = self.command_in(cgroups, &["run", "-b", &bundle, "trial"]);
        let mut limited = Command::new("timeout");
        limited.arg(LIMIT.as_secs().to_string()).arg(trial.get_program()).args(trial.get_args());
        let output = limited.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output();
        let output = output.map_err(|error| error.to_string())?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            Ok(())
        } else {
            // A backtrace may follow.
            Err(stderr.lines().next().unwrap_or("no message").to_owned())
        }
    }

    fn version(&self) -> String {
        let output = Command::new(self.program.path()).arg("--version").output().expect("start a peer");
        String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
    }
}
