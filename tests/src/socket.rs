//! A socket that gets descriptors from a runtime, like those of conmon, containerd and seccomp agents.

use std::fs::File;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::chown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::cmsg_space;
use nix::sys::socket::{Backlog, ControlMessageOwned, MsgFlags, UnixAddr, listen, recvmsg};

use crate::{Test, eventually, sys};

/// A listening socket.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Listens in the test's directory, on a socket that its account may connect to.
    pub fn listen(test: &Test, name: &str) -> Self {
        let path = test.path(name);
        let listener = UnixListener::bind(&path).expect("listen on the socket");
        chown(&path, Some(test.account().uid), Some(test.account().gid)).expect("chown of the socket");
        Self { listener, path }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Accepts no more connections until the next [`Socket::receive`]: whoever connects has to wait.
    ///
    /// The returned connections are those that fill the queue.
    pub fn fill(&self) -> Vec<UnixStream> {
        listen(&self.listener, Backlog::new(0).expect("a backlog")).expect("listen with less room");
        vec![UnixStream::connect(&self.path).expect("fill the socket")]
    }

    /// Accepts the connection of the next caller.
    pub fn accept(&self) -> UnixStream {
        self.listener.set_nonblocking(true).expect("make the listener non-blocking");
        let mut connection = None;
        eventually("somebody connects", || {
            connection = self.listener.accept().ok();
            connection.is_some()
        });
        let (connection, _) = connection.expect("connected");
        connection.set_read_timeout(Some(crate::LIMIT)).expect("bound the wait");
        connection
    }

    /// Receives the descriptor that the next caller sends.
    pub fn receive(&self) -> File {
        self.receive_with_text().0
    }

    /// The same, with the text that comes with it.
    pub fn receive_with_text(&self) -> (File, String) {
        let connection = self.accept();
        let mut text = [0; 16384];
        let mut parts = [IoSliceMut::new(&mut text)];
        let mut space = cmsg_space!(RawFd);
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let message = recvmsg::<UnixAddr>(connection.as_raw_fd(), &mut parts, Some(&mut space), flags);
        let message = message.expect("receive from the runtime");
        let received = message.cmsgs().expect("control messages").find_map(|message| match message {
            ControlMessageOwned::ScmRights(descriptors) => descriptors.first().copied(),
            _ => None,
        });
        let length = message.bytes;
        let file = sys::own(received.expect("a descriptor")).into();
        (file, String::from_utf8_lossy(&text[..length]).into_owned())
    }
}
