//! The process that stays while the container runs: the program that provides the container's network is its child,
//! which it ends when the container has ended.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::signal::Signal;
use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, chdir, dup2, geteuid, pipe2, setsid};
use rootling_config::remedies;
use rootling_rootless::host::{NetworkProgram, NetworkPrograms};
use rootling_sys as sys;
use rootling_sys::signals::Signals;

use crate::container::{Container, Namespaces, Pin};
use crate::error::{Context, Error, Result};
use crate::{Network, pasta, slirp};

/// The supervisor's message that the network is set up.
pub(crate) const READY: &str = "ready\n";

/// How long a program may take to get ready.
const READY_LIMIT: Duration = Duration::from_secs(20);

/// How long a program may take to exit when it is asked to.
const END_LIMIT: Duration = Duration::from_secs(2);

/// How much of a program's output is passed on, in bytes.
const MOST_SAID: u64 = 4096;

/// A container's network, for as long as it exists.
pub(crate) struct Supervisor {
    signals: Signals,
    /// A pidfd of the container's first process.
    container: OwnedFd,
    program: Program,
    /// The socket on which the poststop hook waits for the end; `None` if somebody else has taken the name.
    door: Option<UnixListener>,
}

impl Supervisor {
    /// Starts the program that is available.
    pub(crate) fn start(
        container: &Container,
        network: &Network,
        programs: &NetworkPrograms,
    ) -> Result<Self> {
        let words = || "supervisor".to_owned();
        // The supervisor must not end with the caller's session.
        let _ = setsid();
        chdir("/").context(words)?;
        let signals = Signals::block_for_good().context(words)?;
        // pasta goes into the background, and then becomes a child of this process.
        nix::sys::prctl::set_child_subreaper(true).context(words)?;
        let process = sys::process::pidfd_open(container.pid()?).context(|| container.id().to_owned())?;
        let namespaces = Namespaces::of(container)?;
        let door = SocketAddr::from_abstract_name(container.name()).and_then(|at| {
            let door = UnixListener::bind_addr(&at)?;
            // A client that disconnects before it is accepted must not block us.
            door.set_nonblocking(true).map(|()| door)
        });
        let launch = Launch { container, process: &process, namespaces, network };
        let program = launch.start(programs)?;
        Ok(Self { signals, container: process, program, door: door.ok() })
    }

    /// Ends the program; nothing may stay without it.
    pub(crate) fn end(self) {
        self.program.end();
    }

    /// Waits until the container ends, or anything else ends the network, and then ends the program.
    pub(crate) fn watch(self) {
        // Kept open until this process exits: the hook waits for it to be closed.
        let mut visitor: Option<UnixStream> = None;
        loop {
            let fds = [
                Some(self.container.as_fd()),
                Some(self.program.pidfd.as_fd()),
                Some(self.signals.as_fd()),
                self.door.as_ref().map(AsFd::as_fd),
            ];
            let Ok([ended, failed, signal, visited]) = sys::poll::readable(fds, None) else { break };
            let asked =
                signal && matches!(self.signals.next(), Ok(Some((signal, _))) if Signals::is_end(signal));
            if visited {
                let accepted = self.door.as_ref().and_then(|door| door.accept().ok());
                visitor = accepted.map(|(socket, _)| socket).filter(is_of_us);
            }
            reap();
            if ended || failed || asked || visitor.is_some() {
                break;
            }
        }
        self.program.end();
        drop(visitor);
    }
}

/// Whether the peer is our own user or root: names of abstract sockets are not protected, so another user may have
/// taken this one.
pub(crate) fn is_of_us(socket: &UnixStream) -> bool {
    getsockopt(socket, sockopt::PeerCredentials)
        .is_ok_and(|peer| [0, geteuid().as_raw()].contains(&peer.uid()))
}

/// Tells the hook that the network is set up, and replaces the streams of the runtime with /dev/null.
pub(crate) fn close_streams() -> std::io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let mut output = std::io::stdout();
    output.write_all(READY.as_bytes())?;
    output.flush()?;
    for stream in 0..=2 {
        dup2(null.as_raw_fd(), stream)?;
    }
    Ok(())
}

/// The program that provides the network.
struct Program {
    pidfd: OwnedFd,
    /// slirp4netns exits when this is closed, even if nobody is left to end it.
    exit: Option<OwnedFd>,
    /// Dropped after the program has ended.
    _pin: Option<Pin>,
}

/// What is needed to start a program.
struct Launch<'a> {
    container: &'a Container,
    process: &'a OwnedFd,
    namespaces: Namespaces,
    network: &'a Network,
}

impl Program {
    fn of(pid: i32, exit: Option<OwnedFd>, pin: Option<Pin>) -> Result<Self> {
        let pidfd = sys::process::pidfd_open(pid).context(|| format!("pidfd_open({pid})"))?;
        Ok(Self { pidfd, exit, _pin: pin })
    }

    /// Ends the program, and any processes that it has left.
    fn end(mut self) {
        // slirp4netns cleans up when it exits. pasta has nothing to clean up, and as the first process of a pid
        // namespace it does not end on SIGTERM.
        if self.exit.take().is_some() {
            let _ = sys::poll::wait_readable(self.pidfd.as_fd(), END_LIMIT);
        }
        let _ = sys::process::pidfd_send_signal(self.pidfd.as_fd(), Signal::SIGKILL as i32);
        let _ = sys::poll::wait_readable(self.pidfd.as_fd(), END_LIMIT);
        for child in children() {
            let _ = sys::process::kill(child, Signal::SIGKILL as i32);
            let _ = waitpid(Pid::from_raw(child), None);
        }
    }
}

/// The children of this process that have not ended; proc(5), /proc/PID/task/TID/children.
fn children() -> Vec<i32> {
    reap();
    let text = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Reaps all children that have ended: pasta's own children become ours when it goes into the background.
fn reap() {
    while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive)
    {
    }
}

/// A program's standard error, kept apart from the hook's.
struct Words(File);

impl Words {
    fn new() -> Result<Self> {
        tempfile::tempfile().map(Self).context(|| "file for messages".to_owned())
    }

    fn stdio(&self) -> Result<Stdio> {
        self.0.try_clone().map(Stdio::from).context(|| "file for messages".to_owned())
    }

    /// Everything that was written, in one line.
    fn text(mut self) -> String {
        let mut text = Vec::new();
        let _ = self.0.rewind().and_then(|()| self.0.take(MOST_SAID).read_to_end(&mut text));
        let text = String::from_utf8_lossy(&text);
        text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(": ")
    }
}

/// Waits for an event of a program, but not longer than the container lives.
fn wait_for(what: &OwnedFd, program: &'static str, other: &OwnedFd, container: &OwnedFd) -> Result<bool> {
    let end = Instant::now() + READY_LIMIT;
    let left = Some(end.saturating_duration_since(Instant::now()));
    match sys::poll::readable([Some(what.as_fd()), Some(other.as_fd()), Some(container.as_fd())], left) {
        Ok([true, ..]) => Ok(true),
        Ok([false, true, _]) => Ok(false),
        Ok([.., true]) => Err(Error::Said("the container has ended meanwhile".to_owned())),
        Ok(_) => Err(Error::Late { program, limit: READY_LIMIT }),
        Err(error) => Err(error).context(|| program.to_owned()),
    }
}

impl Launch<'_> {
    fn start(mut self, found: &NetworkPrograms) -> Result<Program> {
        match found.best() {
            Some(NetworkProgram::Pasta(path)) => {
                let root = self.namespaces.user.is_none();
                let pin = root.then(|| Pin::new(self.container, &self.namespaces.network)).transpose()?;
                if let Some(pin) = &pin {
                    self.namespaces.network.clone_from(&pin.0);
                }
                self.start_pasta(&path, pin)
            }
            Some(NetworkProgram::Slirp4netns(_)) if !self.network.options.is_empty() => {
                Err(Error::OptionsOfPasta { options: self.network.options.clone(), old: found.too_old() })
            }
            Some(NetworkProgram::Slirp4netns(path)) => self.start_slirp(&path),
            None => Err(Error::NoProgram { old: found.too_old() }),
        }
    }

    fn start_pasta(&self, path: &Path, pin: Option<Pin>) -> Result<Program> {
        let words = Words::new()?;
        let mut child = Command::new(path)
            .args(pasta::arguments(self.network, &self.namespaces, geteuid().is_root()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(words.stdio()?)
            .spawn()
            .context(|| path.display().to_string())?;
        let front = sys::process::pidfd_open(child.id() as i32).context(|| path.display().to_string())?;
        // The first process exits when the network is set up, or cannot be.
        let waited = wait_for(&front, "pasta", &front, self.process);
        if waited.is_err() {
            let _ = child.kill();
        }
        let status = child.wait().context(|| path.display().to_string())?;
        let behind = children().first().copied();
        match waited {
            Ok(_) if status.success() => {
                let pid = behind.ok_or_else(|| Error::Failed {
                    program: "pasta",
                    said: "it has ended at once".to_owned(),
                    remedy: "",
                })?;
                Program::of(pid, None, pin)
            }
            Ok(_) => {
                let said = words.text();
                let remedy = pasta::remedy(&said);
                let said = if said.is_empty() { status.to_string() } else { said };
                Err(Error::Failed { program: "pasta", said, remedy })
            }
            Err(error) => {
                if let Some(program) = behind.and_then(|pid| Program::of(pid, None, None).ok()) {
                    program.end();
                }
                Err(error)
            }
        }
    }

    fn start_slirp(&self, path: &Path) -> Result<Program> {
        let pipe = || pipe2(OFlag::O_CLOEXEC).context(|| "pipe".to_owned());
        let (ready, ready_end) = pipe()?;
        let (exit_end, exit) = pipe()?;
        for end in [&ready_end, &exit_end] {
            fcntl(end.as_raw_fd(), FcntlArg::F_SETFD(FdFlag::empty())).context(|| "pipe".to_owned())?;
        }
        let words = Words::new()?;
        // Only the caller can access it.
        let dir =
            tempfile::Builder::new().prefix("rootling-network").tempdir().context(|| "socket".to_owned())?;
        let api = dir.path().join("api");
        let publishes = !self.network.publish.is_empty();
        let child = Command::new(path)
            .args(slirp::arguments(
                &self.namespaces,
                ready_end.as_raw_fd(),
                exit_end.as_raw_fd(),
                publishes.then_some(api.as_path()),
            ))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(words.stdio()?)
            .spawn()
            .context(|| path.display().to_string())?;
        drop((ready_end, exit_end));
        let program = Program::of(child.id() as i32, Some(exit), None)?;
        let result = wait_for(&ready, "slirp4netns", &program.pidfd, self.process).and_then(|_| {
            // It also becomes readable if the program exits without a message.
            if File::from(ready).read(&mut [0]).unwrap_or(0) == 0 {
                let _ = sys::poll::wait_readable(program.pidfd.as_fd(), END_LIMIT);
                let said = words.text();
                let remedy = if said.contains("/dev/net/tun") { remedies::OPEN_TUN } else { "" };
                return Err(Error::Failed { program: "slirp4netns", said, remedy });
            }
            self.network.publish.iter().try_for_each(|port| slirp::publish(&api, port))
        });
        match result {
            Ok(()) => Ok(program),
            Err(error) => {
                program.end();
                Err(error)
            }
        }
    }
}
