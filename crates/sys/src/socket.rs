//! Sends descriptors over sockets.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
    bind, listen, recvmsg, sendmsg, socket,
};

/// Sends a descriptor together with some text.
pub fn send_fd(socket: BorrowedFd<'_>, text: &[u8], fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let fds = [fd.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    let parts = [IoSlice::new(text)];
    loop {
        match sendmsg::<UnixAddr>(socket.as_raw_fd(), &parts, &rights, MsgFlags::MSG_NOSIGNAL, None) {
            Err(Errno::EINTR) => {}
            other => return other.map(drop),
        }
    }
}

/// Receives a message and the descriptor that may come with it; 0 bytes mean the end.
pub fn receive_fd(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<(usize, Option<OwnedFd>), Errno> {
    let mut space = nix::cmsg_space!([RawFd; 1]);
    loop {
        let mut parts = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        match recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            Ok(message) => {
                let fd = message.cmsgs().ok().and_then(|mut all| {
                    all.find_map(|m| match m {
                        ControlMessageOwned::ScmRights(fds) => fds.first().copied().map(crate::fds::adopt),
                        _ => None,
                    })
                });
                return Ok((message.bytes, fd));
            }
        }
    }
}

/// Makes a socket at this path that preserves message boundaries and listens for connections. The path must fit
/// into an address (unix(7): 107 bytes); a longer one can be shortened by `/proc/self/fd`.
pub fn listen_at(path: &Path) -> Result<OwnedFd, Errno> {
    let fd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    bind(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    listen(&fd, Backlog::new(8)?)?;
    Ok(fd)
}

/// Connects to such a socket.
pub fn connect_to(path: &Path) -> Result<OwnedFd, Errno> {
    let fd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    nix::sys::socket::connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd)
}

/// Accepts the next connection with accept4(2) or, if a seccomp filter denies that, with accept(2).
pub fn accept_anyhow(socket: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let socket = socket.as_raw_fd();
    loop {
        match nix::sys::socket::accept4(socket, SockFlag::SOCK_CLOEXEC) {
            Err(Errno::EINTR | Errno::ECONNABORTED) => {}
            Ok(fd) => return Ok(crate::fds::adopt(fd)),
            Err(_) => break,
        }
    }
    loop {
        match nix::sys::socket::accept(socket) {
            Err(Errno::EINTR | Errno::ECONNABORTED) => {}
            Err(errno) => return Err(errno),
            Ok(fd) => {
                let fd = crate::fds::adopt(fd);
                // The closing of the connection is to show that the program runs.
                crate::fds::close_on_exec(&fd)?;
                return Ok(fd);
            }
        }
    }
}
