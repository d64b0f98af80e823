//! System calls that have no safe wrapper; the only unsafe code of the tests.
#![allow(unsafe_code)]

use std::io::{Error, Result};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::process::Command;

/// Sets a terminal's window size (`TIOCSWINSZ` in `tty_ioctl(2)`).
pub fn set_window_size(terminal: &impl AsFd, rows: u16, columns: u16) -> Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open while borrowed, and the kernel only reads the structure.
    let result = unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    if result == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

/// Reads a terminal's window size as rows and columns (`TIOCGWINSZ` in `tty_ioctl(2)`).
pub fn window_size(terminal: &impl AsFd) -> Result<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open while borrowed, and the kernel fills exactly this structure.
    let result = unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    if result == 0 { Ok((size.ws_row, size.ws_col)) } else { Err(Error::last_os_error()) }
}

/// Takes over a descriptor that the kernel has just put into this process, as `SCM_RIGHTS` does.
pub fn own(received: RawFd) -> OwnedFd {
    // SAFETY: the caller got the number from the kernel in a message and has given it to nobody else.
    unsafe { OwnedFd::from_raw_fd(received) }
}

/// Runs a command and returns its wait status and the peak resident set, in KiB, of it and of every
/// descendant that was waited for (`wait4(2)`, `getrusage(2)`).
#[allow(clippy::zombie_processes)] // wait4 waits, which clippy cannot see
pub fn run_with_peak(command: &mut Command) -> Result<(i32, i64)> {
    let child = command.spawn()?;
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to locals that outlive the call.
    let waited = unsafe { libc::wait4(child.id() as libc::pid_t, &raw mut status, 0, &raw mut usage) };
    if waited < 0 { Err(Error::last_os_error()) } else { Ok((status, usage.ru_maxrss)) }
}
