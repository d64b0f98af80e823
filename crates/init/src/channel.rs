//! The channel between the runtime and the child that becomes the container.
//!
//! It is one socket pair that carries whole messages in both directions. When the process on either side ends, its end
//! is closed, so a wait never outlasts the process at the other end. An error of the socket is an error, and is never
//! mistaken for the end of the channel.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use libcontainer::network::cidr::CidrAddress;
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use rootling_sys as sys;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracing::level_filters::LevelFilter;

use crate::error::{Context, Error, Result};

/// The size limit of a message, in bytes; an error text is cut to fit.
const LIMIT: usize = 16 * 1024;

/// Receives what the user should know although it is no failure, one line per call.
pub type Warn<'a> = &'a mut dyn FnMut(String);

/// Addresses of network devices that were moved, by device name.
pub type Addresses = HashMap<String, Vec<CidrAddress>>;

/// What the child tells the runtime.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromChild {
    /// An intermediate process has cloned the one that becomes the program. The pid is the one that the runtime sees.
    Cloned(i32),
    /// The intermediate process has made the user namespace and needs its id maps written.
    NeedsMaps,
    /// The container's root is complete and still visible from the host: it is time for prestart and createRuntime.
    AtHooks,
    /// `linux.netDevices` are to be moved into the network namespace.
    NeedsDevices,
    /// The bind mount with this index needs a source that only the runtime can open or id-map.
    NeedsSource(usize),
    /// The device with this index in `linux.devices` needs a node, which only the runtime can make.
    NeedsNode(usize),
    /// Carries the detached mount for the bind mount with this index, whose ids only the runtime can map.
    NeedsMap(usize),
    /// Everything is prepared; only the wait for the start remains.
    Ready,
    /// Carries the seccomp listener.
    SeccompListener,
    /// The child waits for its start, and the channel ends now. Without this message the end of the channel means that
    /// the process has ended.
    Waiting,
    /// The child has failed, and ends now.
    Failed(Error),
    /// Something that the user should know although it is no failure.
    Warning(String),
    /// A line for the log.
    Debug(String),
}

/// What the runtime tells the child.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToChild {
    /// The id maps are written. The pid is that of the child as the runtime sees it.
    Begin(i32),
    /// The child is in the container's cgroup: it may now become a process over which the runtime has no power.
    Placed,
    /// The hooks in the runtime's namespaces have run: it is time for createContainer.
    RunHooks,
    /// The network devices are there. Their addresses must be set again.
    Devices(Addresses),
    /// Carries the detached mount that was asked for.
    Source,
    /// What was asked for is not available.
    NoSource(Error),
    /// The ids of the mount are mapped.
    Mapped,
    /// The container is recorded: the child may outlive the runtime.
    Commit,
    /// The seccomp listener has been handed to its agent.
    ListenerSent,
}

/// One end of the channel.
pub struct Channel {
    socket: OwnedFd,
    /// Whether debug lines are wanted.
    detailed: bool,
    /// Whether the other end was closed with unread messages in it.
    unread: AtomicBool,
}

impl Channel {
    /// Makes both ends: the runtime's and the child's.
    pub fn pair() -> Result<(Self, Self)> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (a, b) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
            .context(|| "socketpair(AF_UNIX, SOCK_SEQPACKET)")?;
        // Checked here, because the child gives up the log later.
        let detailed = LevelFilter::current() >= LevelFilter::DEBUG;
        let end = |socket| Self { socket, detailed, unread: AtomicBool::new(false) };
        Ok((end(a), end(b)))
    }

    /// A channel over a connected socket that preserves message boundaries.
    pub fn of(socket: OwnedFd) -> Self {
        Self { socket, detailed: false, unread: AtomicBool::new(false) }
    }

    /// Leaves the descriptor open: another thread shares it and closes it for both.
    pub(crate) fn leave_open(self) {
        let _ = std::os::fd::IntoRawFd::into_raw_fd(self.socket);
    }

    /// Sends a message; the error is `EPIPE` if the other end is gone.
    pub fn send(&self, message: &impl Serialize) -> Result<()> {
        let bytes = serde_json::to_vec(message)?;
        // write(2) instead of sendmsg(2): a seccomp filter may be loaded, and every program needs write(2).
        loop {
            match nix::unistd::write(&self.socket, &bytes) {
                Err(Errno::EINTR) => {}
                result => return result.map(drop).context(|| "send to the other process"),
            }
        }
    }

    /// Sends a message together with a descriptor.
    pub fn send_with(&self, message: &impl Serialize, fd: BorrowedFd<'_>) -> Result<()> {
        let bytes = serde_json::to_vec(message)?;
        sys::socket::send_fd(self.socket.as_fd(), &bytes, fd).context(|| "sendmsg(SCM_RIGHTS)")
    }

    /// Whether the other end is known to be gone without having read everything that it was sent.
    pub fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// Waits for the next message; `None` if the other end is gone.
    pub fn receive<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        Ok(self.receive_with()?.map(|(message, _)| message))
    }

    /// Does the same, and also returns the descriptor that may come with a message.
    pub fn receive_with<T: DeserializeOwned>(&self) -> Result<Option<(T, Option<OwnedFd>)>> {
        let mut buffer = [0u8; LIMIT];
        let (length, fd) = loop {
            match sys::socket::receive_fd(self.socket.as_fd(), &mut buffer) {
                // Reported once, and before any message that the other end has left to be read.
                Err(Errno::ECONNRESET) => self.unread.store(true, Ordering::Relaxed),
                received => break received.context(|| "receive from the other process")?,
            }
        };
        if length == 0 {
            return Ok(None);
        }
        serde_json::from_slice(&buffer[..length])
            .map(|message| Some((message, fd)))
            .map_err(|e| Error::system(format!("message from the other process: {e}")))
    }

    /// Sends a failure, whose text is shorter than a message may be. If that fails too, nobody can be told.
    pub fn send_failure(&self, error: Error) {
        let _ = self.send(&FromChild::Failed(error));
    }

    /// Whether debug lines are wanted.
    pub fn is_detailed(&self) -> bool {
        self.detailed
    }

    /// Sends a debug line if such are wanted, cut to fit in a message. If the other end is gone, that shows soon
    /// enough.
    pub fn send_debug(&self, text: &str) {
        if self.detailed {
            let text: String = text.chars().take(LIMIT / 8).collect();
            let _ = self.send(&FromChild::Debug(text));
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> i32 {
        self.socket.as_raw_fd()
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
        assert!(error.to_string().contains(" bytes ... "), "{error}");
    }

    #[test]
    fn an_error_of_the_socket_is_not_the_end() {
        let channel = Channel::of(std::fs::File::open("/dev/null").unwrap().into());
        assert!(channel.receive::<ToChild>().unwrap_err().to_string().contains("ENOTSOCK"));
    }
}
