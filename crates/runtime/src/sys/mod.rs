//! The system calls that no crate we use wraps safely.
//!
//! This is the only module of the crate in which `unsafe` may appear; each block says why it is sound.
#![allow(unsafe_code)]

pub(crate) mod clone;
pub(crate) mod exec;
pub(crate) mod fds;
pub(crate) mod mount;
pub(crate) mod net;
pub(crate) mod process;
pub(crate) mod scheduling;
pub(crate) mod seccomp;
pub(crate) mod terminal;

use nix::errno::Errno;

/// The usual convention of system calls: -1 means that `errno` says why.
fn check(ret: libc::c_long) -> Result<libc::c_long, Errno> {
    if ret < 0 { Err(Errno::last()) } else { Ok(ret) }
}
