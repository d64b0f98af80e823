//! `run` in the foreground: signals, the terminal, and the container's exit code.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg};
use nix::sys::termios::{self, SetArg, Termios};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};

use crate::error::{Context, Error, Result};
use crate::launch::Launched;
use crate::sys;

/// Receives the master of the container's terminal, and gives it the size of the caller's.
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
    resize(master.as_fd());
    Ok(master)
}

/// Whether there is anybody to show the container's terminal to.
pub(crate) fn has_terminal() -> bool {
    use std::io::IsTerminal;
    std::io::stdin().is_terminal() || std::io::stdout().is_terminal() || std::io::stderr().is_terminal()
}

/// The caller's terminal in raw mode; put back when dropped, however the run ends.
struct RawMode {
    before: Termios,
}

impl RawMode {
    fn enter() -> Result<Option<Self>> {
        let stdin = std::io::stdin();
        // Not a terminal: the container's still is one, and what is piped goes into it.
        let Ok(before) = termios::tcgetattr(&stdin) else { return Ok(None) };
        let mut raw = before.clone();
        termios::cfmakeraw(&mut raw);
        termios::tcsetattr(&stdin, SetArg::TCSANOW, &raw).context(|| "tcsetattr(raw)")?;
        Ok(Some(Self { before }))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, &self.before);
    }
}

/// Waits for the container's end, forwarding signals and its terminal; its exit code.
pub(crate) fn wait(launched: &mut Launched) -> Result<i32> {
    let raw = match &launched.terminal {
        Some(_) => RawMode::enter()?,
        None => None,
    };
    let mut relay = launched.terminal.take().map(Relay::new);
    loop {
        let ready = wait_event(launched, relay.as_ref())?;
        if ready.signal {
            forward_signals(launched, relay.as_ref())?;
        }
        if let Some(relay) = &mut relay {
            relay.turn(&ready);
        }
        if ready.ended {
            let code = exit_code(launched.pidfd.as_fd())?;
            if let Some(relay) = &mut relay {
                relay.drain();
            }
            drop(raw);
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

fn wait_event(launched: &Launched, relay: Option<&Relay>) -> Result<Ready> {
    let stdin = std::io::stdin();
    let mut fds = vec![
        PollFd::new(launched.signals.as_fd(), PollFlags::POLLIN),
        PollFd::new(launched.pidfd.as_fd(), PollFlags::POLLIN),
    ];
    let mut input_at = None;
    if let Some(relay) = relay {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, relay.output_open);
        flags.set(PollFlags::POLLOUT, !relay.pending.is_empty());
        if !flags.is_empty() {
            fds.push(PollFd::new(relay.master.as_fd(), flags));
        }
        // Not more is read than the container takes: the rest stays where it is.
        if relay.input_open && relay.pending.is_empty() {
            input_at = Some(fds.len());
            fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
    }
    match poll(&mut fds, PollTimeout::NONE) {
        Err(Errno::EINTR) => return Ok(Ready::default()),
        other => other.context(|| "poll")?,
    };
    let events = |i: usize| fds.get(i).and_then(|f| f.revents()).unwrap_or(PollFlags::empty());
    let some = |i: usize| !events(i).is_empty();
    let has_master = relay.is_some() && fds.len() > 2 && input_at != Some(2);
    Ok(Ready {
        signal: some(0),
        ended: some(1),
        input: input_at.is_some_and(some),
        output: has_master
            && events(2).intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR),
        room: has_master && events(2).contains(PollFlags::POLLOUT),
    })
}

/// Passes signals on to the container's first process.
fn forward_signals(launched: &mut Launched, relay: Option<&Relay>) -> Result<()> {
    while let Some((signal, _)) = launched.signals.next()? {
        match signal {
            libc::SIGCHLD => reap_others(launched.pidfd.as_fd()),
            libc::SIGWINCH if relay.is_some() => {
                if let Some(relay) = relay {
                    resize(relay.master.as_fd());
                }
            }
            // The runtime's own: the terminal's job control, and what a write of ours brought about.
            libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU | libc::SIGPIPE if relay.is_some() => {}
            libc::SIGURG | libc::SIGPIPE => {}
            other => match sys::process::pidfd_send_signal(launched.pidfd.as_fd(), other) {
                // Ended in between: the pidfd says so next.
                Err(Errno::ESRCH) => {}
                result => result.context(|| format!("forward signal {other}"))?,
            },
        }
    }
    Ok(())
}

/// Reaps orphans of the container that we have adopted, but not its first process.
fn reap_others(init: BorrowedFd<'_>) {
    loop {
        let next = waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT);
        let Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) = next else { return };
        let first =
            waitid(Id::PIDFd(init), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT);
        if matches!(first, Ok(WaitStatus::Exited(p, _) | WaitStatus::Signaled(p, _, _)) if p == pid) {
            return;
        }
        let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
    }
}

/// The exit code by the shell's convention: 128+n when signal n ended it.
pub(crate) fn exit_code(pidfd: BorrowedFd<'_>) -> Result<i32> {
    match waitid(Id::PIDFd(pidfd), WaitPidFlag::WEXITED).context(|| "waitid(P_PIDFD)")? {
        WaitStatus::Exited(_, code) => Ok(code),
        WaitStatus::Signaled(_, signal, _) => Ok(128 + signal as i32),
        other => Err(Error::system(format!("unexpected wait status {other:?}"))),
    }
}

/// Gives the container's terminal the size of the caller's.
fn resize(master: BorrowedFd<'_>) {
    if let Ok((rows, columns)) = sys::terminal::size(std::io::stdin().as_fd())
        && rows > 0
    {
        let _ = sys::terminal::set_size(master, rows, columns);
    }
}

/// Carries bytes between the caller's terminal and the container's.
struct Relay {
    master: OwnedFd,
    pending: Vec<u8>,
    input_open: bool,
    output_open: bool,
}

impl Relay {
    fn new(master: OwnedFd) -> Self {
        use nix::fcntl::{FcntlArg, OFlag, fcntl};
        // The container may take no input for ever; we must not wait for it.
        let _ = fcntl(master.as_raw_fd(), FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK));
        Self { master, pending: Vec::new(), input_open: true, output_open: true }
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
            // The end of what is piped in is ^D for a terminal (termios(3), VEOF).
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

    /// One read's worth; `EIO` says that nobody has the other end open any more.
    fn pass_output(&mut self) -> bool {
        let mut buffer = [0u8; 8192];
        match nix::unistd::read(self.master.as_raw_fd(), &mut buffer) {
            Ok(n) if n > 0 => {
                write_out(&buffer[..n]);
                true
            }
            Err(Errno::EINTR) => true,
            Err(Errno::EAGAIN) => false,
            _ => {
                self.output_open = false;
                false
            }
        }
    }

    /// What the container wrote before its end.
    fn drain(&mut self) {
        while self.output_open && self.pass_output() {}
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
