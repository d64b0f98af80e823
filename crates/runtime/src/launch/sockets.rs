//! The sockets by which engines get a container's terminal, its pidfd and its seccomp listener.

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
use serde_json::json;

use crate::error::{Context, Error, Result};
use crate::plan::Listener;
use crate::state::{Record, Status};

/// Connects to a socket that somebody listens on.
pub(crate) fn connect(path: &Path, flag: &str) -> Result<OwnedFd> {
    let stream = UnixStream::connect(path)
        .context(|| format!("{flag} {path:?}"))
        .map_err(|e| e.remedy("somebody has to listen on it before the container is made"))?;
    Ok(stream.into())
}

/// Sends a descriptor with some text along with it.
pub(crate) fn send_fd(socket: BorrowedFd<'_>, text: &[u8], fd: BorrowedFd<'_>) -> Result<()> {
    let fds = [fd.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    let parts = [IoSlice::new(text)];
    sendmsg::<UnixAddr>(socket.as_raw_fd(), &parts, &rights, MsgFlags::MSG_NOSIGNAL, None)
        .map(drop)
        .context(|| "sendmsg(SCM_RIGHTS)")
}

/// Hands the seccomp listener of process `pid` to its agent, with the state of the container process:
/// runtime-spec, config-linux.md "The Container Process State".
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
    let text = serde_json::to_vec(&state).map_err(|e| Error::system(e.to_string()))?;
    send_fd(socket.as_fd(), &text, fd).map_err(|e| e.wrap(format!("{:?}", listener.path)))
}
