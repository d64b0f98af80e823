//! The channel between the runtime and the child that becomes the container.
//!
//! One socket pair, whole messages in both directions. The end of either side closes it, so that no
//! wait on it lasts longer than the process at the other end.

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, recvmsg, socketpair,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::{Context, Error, Result};

/// Longest message; an error text is cut to fit.
const LIMIT: usize = 16 * 1024;

/// What the child tells the runtime.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum FromChild {
    /// An intermediate process has cloned the container's init, with this pid seen from the runtime.
    Cloned(i32),
    /// The intermediate process has made the user namespace, and needs its maps written.
    NeedsMaps,
    /// Everything is prepared; only the wait for the start is left.
    Ready,
    /// It failed, and ends now.
    Failed(Error),
    /// Something the user should know that is no failure.
    Warning(String),
    /// A line for the log.
    Debug(String),
    /// Comes with a descriptor that the runtime is to close when the program runs.
    CloseLater,
    /// The createContainer hooks have run.
    HooksDone,
    /// The bind mount of this number needs a source that only the runtime can open or map.
    NeedsSource(usize),
    /// The seccomp listener is this descriptor of the child's.
    SeccompListener(i32),
}

/// What the runtime tells the child.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum ToChild {
    /// The id maps are written; this is the child's pid as the runtime sees it.
    Begin(i32),
    /// The child is in the container's cgroup: it may become what the runtime has no power over.
    Placed,
    /// The container is recorded: the child may outlive the runtime. `start`: execute at once.
    Commit { start: bool },
    /// The seccomp listener has been handed to its agent.
    ListenerSent,
    /// The hooks of the runtime's namespaces have run: it is the turn of createContainer.
    RunHooks,
    /// Comes with the detached mount that was asked for.
    Source,
    /// It cannot be had.
    NoSource(Error),
}

/// One end of the channel.
pub(crate) struct Channel {
    socket: OwnedFd,
}

impl Channel {
    /// Both ends: the runtime's and the child's.
    pub(crate) fn pair() -> Result<(Self, Self)> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (a, b) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
            .context(|| "socketpair(AF_UNIX, SOCK_SEQPACKET)")?;
        Ok((Self { socket: a }, Self { socket: b }))
    }

    /// Sends a message; `EPIPE` when the other end is gone.
    pub(crate) fn send(&self, message: &impl Serialize) -> Result<()> {
        let bytes = serde_json::to_vec(message).map_err(|e| Error::system(e.to_string()))?;
        // write(2) and not sendmsg(2): after seccomp is loaded, the fewer system calls the better.
        loop {
            match nix::unistd::write(&self.socket, &bytes) {
                Err(Errno::EINTR) => {}
                result => return result.map(drop).context(|| "send to the other process"),
            }
        }
    }

    /// Sends a message that comes with a descriptor.
    pub(crate) fn send_with(&self, message: &impl Serialize, fd: BorrowedFd<'_>) -> Result<()> {
        let bytes = serde_json::to_vec(message).map_err(|e| Error::system(e.to_string()))?;
        crate::launch::send_fd(self.socket.as_fd(), &bytes, fd)
    }

    /// Waits for the next message; `None` when the other end is gone.
    pub(crate) fn receive<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let mut buffer = [0u8; LIMIT];
        let length = loop {
            match nix::unistd::read(self.socket.as_raw_fd(), &mut buffer) {
                Err(Errno::EINTR) => {}
                Err(Errno::ECONNRESET) | Ok(0) => return Ok(None),
                result => break result.context(|| "receive from the other process")?,
            }
        };
        parse(&buffer[..length]).map(Some)
    }

    /// The same, with the descriptor that may come with a message.
    pub(crate) fn receive_with<T: DeserializeOwned>(&self) -> Result<Option<(T, Option<OwnedFd>)>> {
        let mut buffer = [0u8; LIMIT];
        let mut space = nix::cmsg_space!([RawFd; 1]);
        let (length, fd) = loop {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            match recvmsg::<UnixAddr>(self.socket.as_raw_fd(), &mut parts, Some(&mut space), flags) {
                Err(Errno::EINTR) => {}
                Err(Errno::ECONNRESET) => return Ok(None),
                result => {
                    let message = result.context(|| "receive from the other process")?;
                    let fd = message.cmsgs().ok().and_then(|mut all| {
                        all.find_map(|m| match m {
                            ControlMessageOwned::ScmRights(fds) => {
                                fds.first().copied().map(crate::sys::fds::adopt)
                            }
                            _ => None,
                        })
                    });
                    break (message.bytes, fd);
                }
            }
        };
        if length == 0 { Ok(None) } else { parse(&buffer[..length]).map(|message| Some((message, fd))) }
    }

    /// Sends a failure, cut to what a message holds; nobody can be told if that fails too.
    pub(crate) fn send_failure(&self, error: Error) {
        let mut error = error;
        let text = error.to_string();
        if text.len() > LIMIT / 2 {
            let cut: String = text.chars().take(LIMIT / 8).collect();
            error = Error::new(error.kind(), format!("{cut}..."));
        }
        let _ = self.send(&FromChild::Failed(error));
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| Error::system(format!("message from the other process: {e}")))
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_whole_and_the_end_of_a_side_is_seen() {
        let (runtime, child) = Channel::pair().unwrap();
        child.send(&FromChild::Warning("w".repeat(1000))).unwrap();
        drop(child);
        assert!(matches!(runtime.receive().unwrap(), Some(FromChild::Warning(w)) if w.len() == 1000));
        assert!(runtime.receive::<FromChild>().unwrap().is_none());
    }

    #[test]
    fn a_failure_of_any_length_arrives() {
        let (runtime, child) = Channel::pair().unwrap();
        child.send_failure(Error::system("é".repeat(LIMIT)));
        let Some(FromChild::Failed(error)) = runtime.receive().unwrap() else { panic!("not a failure") };
        assert!(error.to_string().ends_with("..."));
    }
}
