//! clone3(2): a child in new namespaces and in its cgroup, with a pidfd, in one call; or clone(2), where a filter refuses it.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sched::CloneFlags;

/// Which process the caller is after [`clone`].
pub enum Cloned {
    /// The parent.
    Parent {
        /// Its pid as the caller sees it.
        pid: i32,
        /// Becomes readable when the child has ended.
        pidfd: OwnedFd,
    },
    /// The child.
    Child,
}

/// Options for making the child.
#[derive(Clone, Copy)]
pub struct CloneOptions {
    /// The namespaces to make, as `CLONE_NEW*` flags.
    pub namespaces: CloneFlags,
    /// The directory of the v2 cgroup that the child starts in (`CLONE_INTO_CGROUP`, Linux 5.7).
    pub cgroup: Option<RawFd>,
    /// Whether to make the child a sibling of the caller (`CLONE_PARENT`): its parent is then the caller's
    /// parent.
    pub sibling: bool,
}

impl Default for CloneOptions {
    fn default() -> Self {
        Self { namespaces: CloneFlags::empty(), cgroup: None, sibling: false }
    }
}

/// Held by a child, which exits if it panics. The child runs on a copy of its parent's stack, and would
/// otherwise unwind into functions that only the parent may run, or continue as a second process of a program
/// that catches panics.
pub struct EndOnPanic;

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

/// linux/sched.h; the libc crate's constant is too narrow for it.
pub(crate) const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Does what fork(2) does, with namespaces, a cgroup and a pidfd.
///
/// Without a cgroup, clone(2) does it where clone3(2) is refused. A seccomp filter cannot read the flags of clone3, so
/// profiles that restrict new namespaces refuse it as a whole.
///
/// The child gets a copy of the whole address space, as after fork. The caller must be single-threaded, or else
/// the child may not call anything that takes a lock. The runtime checks for that, see
/// `rootling_runtime::Caller`.
///
/// # Errors
/// Those of clone3(2), or of clone(2) where that was called as well.
pub fn clone(options: CloneOptions) -> Result<Cloned, Errno> {
    let mut pidfd: RawFd = -1;
    let ret = match clone3(options, &mut pidfd) {
        Err(Errno::ENOSYS | Errno::EPERM) if options.cgroup.is_none() => clone2(options, &mut pidfd),
        ret => ret,
    };
    match ret? {
        0 => Ok(Cloned::Child),
        pid => {
            // SAFETY: the kernel stored a new descriptor there, which nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { pid: pid as i32, pidfd })
        }
    }
}

fn flags(options: CloneOptions) -> u64 {
    let parent = if options.sibling { libc::CLONE_PARENT } else { 0 };
    (libc::CLONE_PIDFD | options.namespaces.bits() | parent) as u64
}

fn clone3(options: CloneOptions, pidfd: &mut RawFd) -> Result<i64, Errno> {
    // SAFETY: clone_args is plain data for which all zeroes is valid (every field absent).
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags(options);
    args.pidfd = std::ptr::from_mut(pidfd) as u64;
    // With CLONE_PARENT the exit signal is that of the caller, and must be left at zero.
    args.exit_signal = if options.sibling { 0 } else { libc::SIGCHLD as u64 };
    if let Some(cgroup) = options.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup as u64;
    }
    // SAFETY: args and the pidfd outlive the call, and args has its true size; without CLONE_VM the child runs on its
    // own copy of this stack, exactly as after fork; we have one thread, so no lock is held by another.
    super::check(unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) })
}

/// The older call, which has no place for a cgroup. Its flags have the exit signal in the bits of a time namespace, which
/// therefore cannot be among `namespaces`: unshare(2) makes those.
fn clone2(options: CloneOptions, pidfd: &mut RawFd) -> Result<i64, Errno> {
    let flags = flags(options) | libc::SIGCHLD as u64;
    let stack = std::ptr::null_mut::<libc::c_void>();
    // Without CLONE_SETTLS and CLONE_CHILD_SETTID the last two are not read; their order depends on the architecture.
    // SAFETY: as above; without a stack of its own the child runs on its copy of this one.
    super::check(unsafe { libc::syscall(libc::SYS_clone, flags, stack, std::ptr::from_mut(pidfd), 0, 0) })
}
