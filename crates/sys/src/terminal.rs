//! Terminal controls that nix has no safe wrapper for.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// The rows and columns of a terminal (`TIOCGWINSZ`).
pub fn size(terminal: BorrowedFd<'_>) -> Result<(u16, u16), Errno> {
    // SAFETY: winsize is plain data for which all zeroes is valid.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: TIOCGWINSZ fills a winsize.
    let ret = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    super::check(ret.into())?;
    Ok((size.ws_row, size.ws_col))
}

/// Sets the rows and columns of a terminal (`TIOCSWINSZ`).
pub fn set_size(terminal: BorrowedFd<'_>, rows: u16, columns: u16) -> Result<(), Errno> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads a winsize, which outlives the call.
    let ret = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    super::check(ret.into()).map(drop)
}

/// Makes the terminal the controlling terminal of this session (`TIOCSCTTY`).
pub fn make_controlling(terminal: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: takes a number only.
    let ret = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) };
    super::check(ret.into()).map(drop)
}

/// Unlocks the other end of a pseudoterminal and opens it (`TIOCSPTLCK`, `TIOCGPTPEER`, Linux 4.13): by
/// descriptor, never by a path that the image could have replaced.
pub fn open_peer(master: BorrowedFd<'_>) -> Result<std::os::fd::OwnedFd, Errno> {
    use std::os::fd::FromRawFd;
    let unlock: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads an int, which outlives the call.
    let ret = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock) };
    super::check(ret.into())?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: takes a number only.
    let ret = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) };
    let fd = super::check(ret.into())?;
    // SAFETY: the kernel returned a new descriptor which nobody else owns.
    Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(fd as i32) })
}
