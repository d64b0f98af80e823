//! `run` and `exec` in the foreground: signals, the terminal, and the program's exit code.

use std::io::{IoSliceMut, IsTerminal};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg};
use nix::sys::stat::Mode;
use nix::sys::termios::{self, OutputFlags, SetArg, Termios};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};

use crate::caller::Caller;
use crate::error::{Context, Error, Result};
use rootling_sys as sys;
use rootling_sys::signals::Signals;

use crate::sd_notify::Notify;

/// Receives the master of the container's terminal, and gives the terminal the size of the caller's.
pub(crate) fn receive_terminal(socket: &OwnedFd) -> Result<OwnedFd> {
    let mut text = [0u8; 64];
    let mut parts = [IoSliceMut::new(&mut text)];
    let mut space = cmsg_space!([RawFd; 1]);
    let message =
        recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)
            .context(|| "receive the container's terminal")?;
    let fd = message.cmsgs().context(|| "receive the container's terminal")?.find_map(|m| match m {
        ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
        _ => None,
    });
    let master = fd.map(sys::fds::adopt).ok_or_else(|| Error::system("the container sent no terminal"))?;
    if !std::io::stdout().is_terminal() {
        keep_newlines(master.as_fd()).context(|| "set the container's terminal up")?;
    }
    if let Some(host) = host_terminal() {
        resize(master.as_fd(), host.as_fd());
    }
    Ok(master)
}

/// Shows what has been written to a container's terminal so far, if the container ends before the relay has begun.
pub(crate) fn show(master: &OwnedFd) {
    let _ = fcntl(master.as_raw_fd(), FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK));
    while pass_on(master) == Passed::Some {}
}

/// Stops the terminal from translating newlines: it would put a carriage return before each of them, which does not
/// belong in the output where that goes to a file or a pipe rather than to a terminal.
fn keep_newlines(terminal: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut settings = termios::tcgetattr(terminal)?;
    settings.output_flags.remove(OutputFlags::ONLCR);
    termios::tcsetattr(terminal, SetArg::TCSANOW, &settings)
}

/// Whether the caller has a terminal on which the container's can be shown.
pub(crate) fn has_terminal() -> bool {
    host_terminal().is_some()
}

/// The caller's terminal. Any of the standard streams may be redirected; even if all are, there may still be a
/// controlling terminal (tty(4)).
fn host_terminal() -> Option<OwnedFd> {
    let (stderr, stdout, stdin) = (std::io::stderr(), std::io::stdout(), std::io::stdin());
    let streams = [
        (stderr.as_fd(), stderr.is_terminal()),
        (stdout.as_fd(), stdout.is_terminal()),
        (stdin.as_fd(), stdin.is_terminal()),
    ];
    if let Some((stream, _)) = streams.into_iter().find(|(_, terminal)| *terminal) {
        return sys::fds::duplicate(stream).ok();
    }
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    open("/dev/tty", flags, Mode::empty()).ok().map(sys::fds::adopt)
}

/// The caller's terminal in raw mode. Its settings are restored on drop, however the run ends.
struct RawMode {
    terminal: OwnedFd,
    before: Termios,
}

impl RawMode {
    fn enter(terminal: OwnedFd) -> Result<Self> {
        let before = termios::tcgetattr(&terminal).context(|| "tcgetattr")?;
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        if !std::io::stdout().is_terminal() {
            // The container's output does not go there, but messages of other programs may.
            raw.output_flags.insert(OutputFlags::OPOST);
        }
        termios::tcsetattr(&terminal, SetArg::TCSANOW, &raw).context(|| "tcsetattr(raw)")?;
        Ok(Self { terminal, before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(&self.terminal, SetArg::TCSADRAIN, &self.before);
    }
}

/// A program that the caller waits for.
pub(crate) struct Program<'a> {
    /// Becomes readable when the program ends.
    pub(crate) pidfd: BorrowedFd<'a>,
    /// Signals to pass on to it.
    pub(crate) signals: &'a mut Signals,
    /// The master of its terminal, if it has one.
    pub(crate) terminal: Option<OwnedFd>,
    /// Where the program reports that it is ready, if anybody wants to know.
    pub(crate) notify: Option<&'a Notify>,
    /// The kind of program that waits: a [`Caller::Program`] reaps its other children itself.
    pub(crate) caller: Caller,
}

/// Waits for the program to end, relaying signals and its terminal; returns its exit code.
pub(crate) fn wait(mut program: Program<'_>) -> Result<i32> {
    let mut relay = match (program.terminal.take(), host_terminal()) {
        (Some(master), Some(host)) => Some(Relay::new(master, RawMode::enter(host)?)),
        _ => None,
    };
    loop {
        let ready = wait_event(&program, relay.as_ref())?;
        if let Some(notify) = program.notify {
            // systemd watches the process that it has started, which is this one.
            notify.pass_on(std::process::id() as i32);
        }
        if ready.signal {
            forward_signals(&mut program, relay.as_ref())?;
        }
        if let Some(relay) = &mut relay {
            relay.turn(&ready);
        }
        if ready.ended {
            let code = exit_code(program.pidfd)?;
            if let Some(relay) = &mut relay {
                relay.drain();
            }
            return Ok(code);
        }
    }
}

#[derive(Default)]
struct Ready {
    signal: bool,
    ended: bool,
    input: bool,
    output: bool,
    room: bool,
}

fn wait_event(program: &Program<'_>, relay: Option<&Relay>) -> Result<Ready> {
    let stdin = std::io::stdin();
    let mut fds = vec![
        PollFd::new(program.signals.as_fd(), PollFlags::POLLIN),
        PollFd::new(program.pidfd, PollFlags::POLLIN),
    ];
    let mut input_at = None;
    if let Some(relay) = relay {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, relay.output_open);
        flags.set(PollFlags::POLLOUT, !relay.pending.is_empty());
        if !flags.is_empty() {
            fds.push(PollFd::new(relay.master.as_fd(), flags));
        }
        // No more is read than the container accepts: the rest stays in the caller's terminal.
        if relay.input_open && relay.pending.is_empty() {
            input_at = Some(fds.len());
            fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
    }
    let masters = fds.len() > 2 && input_at != Some(2);
    fds.extend(program.notify.map(|notify| PollFd::new(notify.as_fd(), PollFlags::POLLIN)));
    match poll(&mut fds, PollTimeout::NONE) {
        Err(Errno::EINTR) => return Ok(Ready::default()),
        other => other.context(|| "poll")?,
    };
    let events = |i: usize| fds.get(i).and_then(|f| f.revents()).unwrap_or(PollFlags::empty());
    let some = |i: usize| !events(i).is_empty();
    let has_master = relay.is_some() && masters;
    Ok(Ready {
        signal: some(0),
        ended: some(1),
        input: input_at.is_some_and(some),
        output: has_master
            && events(2).intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR),
        room: has_master && events(2).contains(PollFlags::POLLOUT),
    })
}

/// Passes signals on to the program.
fn forward_signals(program: &mut Program<'_>, relay: Option<&Relay>) -> Result<()> {
    while let Some((signal, _)) = program.signals.next().context(|| "read(signalfd)")? {
        match Signal::try_from(signal) {
            Ok(Signal::SIGCHLD) if program.caller == Caller::Command => reap_others(program.pidfd),
            Ok(Signal::SIGWINCH) if relay.is_some() => {
                if let Some(relay) = relay {
                    resize(relay.master.as_fd(), relay.raw.terminal.as_fd());
                }
            }
            // Meant for the runtime: job control of the terminal, and consequences of our own writes.
            Ok(Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU) if relay.is_some() => {}
            Ok(Signal::SIGCHLD | Signal::SIGURG | Signal::SIGPIPE) => {}
            _ => match sys::process::pidfd_send_signal(program.pidfd, signal) {
                // It has ended meanwhile: the pidfd reports that next.
                Err(Errno::ESRCH) => {}
                result => result.context(|| format!("forward signal {signal}"))?,
            },
        }
    }
    Ok(())
}

/// Reaps orphans that we have adopted from the container, but not its first process.
fn reap_others(init: BorrowedFd<'_>) {
    loop {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let next = sys::retry(|| waitid(Id::All, look));
        let Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) = next else { return };
        let first = sys::retry(|| waitid(Id::PIDFd(init), look));
        // If it cannot be told, nothing is reaped either: the exit code would be lost.
        if first.is_err()
            || matches!(first, Ok(WaitStatus::Exited(p, _) | WaitStatus::Signaled(p, _, _)) if p == pid)
        {
            return;
        }
        let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
    }
}

/// The exit code by the shell's convention: 128+N if signal N ended the program.
pub(crate) fn exit_code(pidfd: BorrowedFd<'_>) -> Result<i32> {
    match sys::retry(|| waitid(Id::PIDFd(pidfd), WaitPidFlag::WEXITED)).context(|| "waitid(P_PIDFD)")? {
        WaitStatus::Exited(_, code) => Ok(code),
        WaitStatus::Signaled(_, signal, _) => Ok(128 + signal as i32),
        other => Err(Error::system(format!("unexpected wait status {other:?}"))),
    }
}

/// Gives the container's terminal the size of the caller's.
fn resize(master: BorrowedFd<'_>, host: BorrowedFd<'_>) {
    if let Ok((rows, columns)) = sys::terminal::size(host)
        && rows > 0
    {
        let _ = sys::terminal::set_size(master, rows, columns);
    }
}

/// Carries bytes between the caller's terminal and the container's.
struct Relay {
    master: OwnedFd,
    raw: RawMode,
    pending: Vec<u8>,
    input_open: bool,
    output_open: bool,
}

impl Relay {
    fn new(master: OwnedFd, raw: RawMode) -> Self {
        // The container may never read its input; that must not block us.
        let _ = fcntl(master.as_raw_fd(), FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK));
        Self { master, raw, pending: Vec::new(), input_open: true, output_open: true }
    }

    fn turn(&mut self, ready: &Ready) {
        if ready.input {
            self.take_input();
        }
        if ready.room || ready.input {
            self.give_input();
        }
        if ready.output {
            self.pass_output();
        }
    }

    fn take_input(&mut self) {
        let mut buffer = [0u8; 4096];
        match nix::unistd::read(0, &mut buffer) {
            // A terminal needs ^D to learn of the end of input that is piped in (termios(3), VEOF).
            Ok(0) => {
                self.pending.push(4);
                self.input_open = false;
            }
            Ok(n) => self.pending.extend_from_slice(&buffer[..n]),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(_) => self.input_open = false,
        }
    }

    fn give_input(&mut self) {
        while !self.pending.is_empty() {
            match nix::unistd::write(&self.master, &self.pending) {
                Ok(n) => drop(self.pending.drain(..n)),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Err(_) => self.pending.clear(),
            }
        }
    }

    fn pass_output(&mut self) -> bool {
        let passed = pass_on(&self.master);
        self.output_open = passed != Passed::End;
        passed == Passed::Some
    }

    /// Passes on what the container wrote before it ended.
    fn drain(&mut self) {
        while self.output_open && self.pass_output() {}
    }
}

/// The result of reading a terminal's master once.
#[derive(PartialEq, Eq)]
enum Passed {
    Some,
    Nothing,
    /// Nobody has the other end open any more (`EIO`).
    End,
}

/// Passes the result of one read from a terminal's master on to standard output.
fn pass_on(master: &OwnedFd) -> Passed {
    let mut buffer = [0u8; 8192];
    match nix::unistd::read(master.as_raw_fd(), &mut buffer) {
        Ok(n) if n > 0 => {
            write_out(&buffer[..n]);
            Passed::Some
        }
        Err(Errno::EINTR) => Passed::Some,
        Err(Errno::EAGAIN) => Passed::Nothing,
        _ => Passed::End,
    }
}

fn write_out(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match nix::unistd::write(std::io::stdout(), bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                let stdout = std::io::stdout();
                let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::POLLOUT)];
                let _ = poll(&mut fds, PollTimeout::NONE);
            }
            Err(_) => return,
        }
    }
}
