//! The system calls that no crate we use wraps safely, and the basis of all other crates: descriptors, signals,
//! waits.
//!
//! This is the only crate of the workspace in which `unsafe` may appear; each block says why it is sound.

pub mod accounts;
mod actions;
pub mod allocator;
pub mod bpf;
pub mod clone;
pub mod directory;
pub mod exec;
pub mod fds;
pub mod file;
#[cfg(target_arch = "x86_64")]
pub mod memory;
pub mod mount;
pub mod mountinfo;
pub mod namespace;
pub mod path;
pub mod poll;
pub mod process;
pub mod scheduling;
pub mod seccomp;
pub mod signals;
pub mod socket;
pub mod static_program;
pub mod terminal;
pub mod thread;
pub mod vfork;

use nix::errno::Errno;

/// Repeats a call for as long as a signal interrupts it.
pub fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// The errno that the system gave for an error.
pub fn errno(error: &std::io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw)
}

/// Applies the usual convention of system calls: -1 means that `errno` has the reason.
fn check(ret: libc::c_long) -> Result<libc::c_long, Errno> {
    if ret < 0 { Err(Errno::last()) } else { Ok(ret) }
}
