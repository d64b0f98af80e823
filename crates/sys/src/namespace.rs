//! What namespaces say of themselves.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `NS_GET_USERNS`, linux/nsfs.h: `_IO(0xb7, 0x1)`. Linux 4.9.
const NS_GET_USERNS: libc::Ioctl = 0xb701;

/// The user namespace that owns a namespace. `ioctl_ns`(2)
pub fn namespace_owner(namespace: &File) -> io::Result<OwnedFd> {
    // SAFETY: the descriptor is open while borrowed, and the request takes no argument.
    let fd = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_USERNS) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it for us, and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
