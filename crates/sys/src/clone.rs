//! clone3(2): a child in new namespaces and in its cgroup, with a pidfd, in one call.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sched::CloneFlags;

/// What the calling process is after [`clone`].
pub enum Cloned {
    /// The parent.
    Parent {
        /// Its pid as the caller sees it.
        pid: i32,
        /// Readable when it has ended.
        pidfd: OwnedFd,
    },
    /// The child.
    Child,
}

/// What the child is made with.
#[derive(Clone, Copy)]
pub struct CloneOptions {
    /// `CLONE_NEW*` flags.
    pub namespaces: CloneFlags,
    /// Directory of the cgroup v2 that the child starts in (`CLONE_INTO_CGROUP`, Linux 5.7).
    pub cgroup: Option<RawFd>,
    /// Make the child a sibling of the caller (`CLONE_PARENT`): its parent is the caller's parent.
    pub sibling: bool,
}

impl Default for CloneOptions {
    fn default() -> Self {
        Self { namespaces: CloneFlags::empty(), cgroup: None, sibling: false }
    }
}

/// Kept by a child: ends it where it panics. It runs on a copy of its parent's stack, and would unwind into functions that
/// are the parent's alone, or come back as a second process of a program that catches panics.
pub struct EndOnPanic;

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

/// linux/sched.h; the libc crate's constant is too narrow for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// fork(2) with namespaces, a cgroup and a pidfd.
///
/// The child gets a copy of the whole address space, as after fork. The caller must be single threaded, or the child may call
/// nothing that takes a lock: the runtime looks for that, see `rootling_runtime::Caller`.
pub fn clone(options: CloneOptions) -> Result<Cloned, Errno> {
    let mut pidfd: RawFd = -1;
    let mut flags = libc::CLONE_PIDFD as u64 | options.namespaces.bits() as u64;
    if options.cgroup.is_some() {
        flags |= CLONE_INTO_CGROUP;
    }
    if options.sibling {
        flags |= libc::CLONE_PARENT as u64;
    }
    // SAFETY: clone_args is plain data for which all zeroes is valid (every field absent).
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags;
    args.pidfd = std::ptr::from_mut(&mut pidfd) as u64;
    // With CLONE_PARENT the exit signal is the one of the caller, and has to be left at zero.
    args.exit_signal = if options.sibling { 0 } else { libc::SIGCHLD as u64 };
    args.cgroup = options.cgroup.map_or(0, |fd| fd as u64);
    // SAFETY: args outlives the call and has its true size; without CLONE_VM the child runs on its
    // own copy of this stack, exactly as after fork; we have one thread, so no lock is held by another.
    let ret = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match super::check(ret)? {
        0 => Ok(Cloned::Child),
        pid => {
            // SAFETY: the kernel stored a new descriptor there, which nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { pid: pid as i32, pidfd })
        }
    }
}
