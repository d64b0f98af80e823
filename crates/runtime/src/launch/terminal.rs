//! Decides who gets the terminal of a process: whoever displays it to a user.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

use super::sockets;
use crate::error::{Context, Error, Result};

/// The two ends of the socket that carries a terminal's master away from the child.
#[derive(Default)]
pub(crate) struct TerminalPath {
    /// The child's end.
    pub(crate) child_end: Option<OwnedFd>,
    /// Our end, if we are the one to display the terminal.
    pub(crate) ours: Option<OwnedFd>,
}

/// Connects to `--console-socket`, or in the foreground makes a socket pair with ourselves.
pub(crate) fn path(console_socket: Option<&Path>, terminal: bool, detached: bool) -> Result<TerminalPath> {
    match (console_socket, terminal, detached) {
        (Some(path), true, true) => {
            Ok(TerminalPath { child_end: Some(sockets::connect(path, "--console-socket")?), ours: None })
        }
        (None, true, true) => Err(Error::invalid(
            "process.terminal is true and nobody is in the foreground: name a socket for the terminal with \
             --console-socket, or set process.terminal to false",
        )),
        (Some(_), false, true) => Err(Error::invalid(
            "--console-socket is given and process.terminal is false: leave it out, or set process.terminal to true",
        )),
        (Some(_), _, false) => {
            Err(Error::invalid("--console-socket is for a detached container: add --detach, or leave it out"))
        }
        (None, true, false) if !crate::foreground::has_terminal() => Err(Error::invalid(
            "process.terminal is true and there is no terminal, neither among the standard streams nor as \
             /dev/tty: run it in one, name a socket for the terminal with --detach --console-socket, or set \
             process.terminal to false",
        )),
        (None, true, false) => {
            let (ours, child_end) =
                socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                    .context(|| "socketpair")?;
            Ok(TerminalPath { child_end: Some(child_end), ours: Some(ours) })
        }
        (None, false, _) => Ok(TerminalPath::default()),
    }
}
