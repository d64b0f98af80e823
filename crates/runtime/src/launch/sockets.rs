//! The sockets through which engines get a container's terminal, its pidfd and its seccomp listener.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, setsockopt, socket, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use serde_json::json;

use crate::error::{Context, Error, Result};
use crate::exec_state::Listener;
use crate::state::{Record, Status};

/// How long the listener may take to accept another connection, in seconds.
const CONNECT_LIMIT: i64 = 10;

/// Connects to a socket that somebody listens on.
pub(crate) fn connect(path: &Path, flag: &str) -> Result<OwnedFd> {
    let what = || format!("{flag} {path:?}");
    let flags = SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None).context(what)?;
    // If the backlog is full, connect(2) blocks, by default without limit.
    setsockopt(&fd, sockopt::SendTimeout, &TimeVal::seconds(CONNECT_LIMIT)).context(what)?;
    let address = UnixAddr::new(path).context(what).map_err(|e| e.remedy("use a shorter path"))?;
    match nix::sys::socket::connect(fd.as_raw_fd(), &address) {
        Ok(()) => Ok(fd),
        Err(Errno::EAGAIN) => Err(Error::system(format!(
            "{}: whoever listens on it has not taken a connection within {CONNECT_LIMIT} s",
            what()
        ))),
        Err(errno) => Err(Error::from(errno)
            .wrap(what())
            .remedy("somebody has to listen on it before the container is made")),
    }
}

/// Sends the seccomp listener of process `pid` to its agent, with the container process state; runtime-spec,
/// config-linux.md "The Container Process State".
pub(crate) fn send_listener(
    record: &Record,
    status: Status,
    listener: &Listener,
    pid: i32,
    fd: BorrowedFd<'_>,
) -> Result<()> {
    let socket = connect(&listener.path, "linux.seccomp.listenerPath")
        .map_err(|e| e.wrap("failed to connect with seccomp agent"))?;
    let state = json!({
        "ociVersion": record.oci_version,
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": listener.metadata,
        "state": {
            "ociVersion": record.oci_version,
            "id": record.id,
            "status": status,
            "pid": record.init.map_or(pid, |init| init.pid),
            "bundle": record.bundle,
            "annotations": record.annotations,
        },
    });
    let text = serde_json::to_vec(&state)?;
    rootling_sys::socket::send_fd(socket.as_fd(), &text, fd)
        .context(|| format!("{:?}: sendmsg(SCM_RIGHTS)", listener.path))
}
