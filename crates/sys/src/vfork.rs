//! A child that shares its parent's memory, while the parent waits for its end, as with vfork(2).

use std::arch::asm;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;

use crate::clone::{CLONE_INTO_CGROUP, EndOnPanic};

/// A child that has ended, and not been waited for yet.
pub struct Ended<T> {
    /// Its pid as the caller sees it.
    pub pid: i32,
    /// Is readable.
    pub pidfd: OwnedFd,
    /// What the function in the child returned; `None` if the child has ended before.
    pub result: Option<T>,
}

/// What the child is called with.
struct Call<'a, T> {
    child: &'a mut dyn FnMut() -> T,
    result: Option<T>,
}

/// Calls `child` in a child process with this memory, and returns when that process has ended. The kernel copies no page
/// tables for it, and none of its writes takes a page fault.
///
/// What the function does to memory, the caller sees; what it does to descriptors, ids, namespaces and signals, it does to its own
/// process. So it must not drop anything that closes a descriptor of the caller's, and may close it by number. It may not
/// join or make a time namespace, which is one of the memory: time_namespaces(7).
///
/// The caller cannot be interrupted meanwhile, except by SIGKILL. `cgroup` is the directory of the v2 cgroup that the child starts
/// in. The child is never chosen by the OOM killer of that cgroup, which would end the caller as well (`in_vfork` in the kernel's
/// include/linux/sched/mm.h).
///
/// # Errors
/// Those of clone3(2).
pub fn vfork<T>(cgroup: Option<RawFd>, child: &mut dyn FnMut() -> T) -> Result<Ended<T>, Errno> {
    let mut pidfd: RawFd = -1;
    let mut call = Call { child, result: None };
    // SAFETY: clone_args is plain data for which all zeroes is valid (every field absent).
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = (libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD) as u64;
    args.pidfd = std::ptr::from_mut(&mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup as u64;
    }
    // SAFETY: the arguments and what they point to outlive the call, and `enter::<T>` takes this very type.
    let ret = unsafe { clone_and_call(&args, enter::<T>, (&raw mut call).cast()) };
    if ret < 0 {
        return Err(Errno::from_raw(-ret as i32));
    }
    // SAFETY: the kernel stored a new descriptor there, which nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Ended { pid: ret as i32, pidfd, result: call.result })
}

extern "C" fn enter<T>(call: *mut libc::c_void) -> ! {
    let _end = EndOnPanic;
    // SAFETY: what `vfork` has passed, which the parent does not touch until this process has ended.
    let call = unsafe { &mut *call.cast::<Call<'_, T>>() };
    call.result = Some((call.child)());
    super::exec::exit_now(0)
}

/// clone3(2) in whose child `enter` is called, at once and on the stack below this frame: the child may not return from a
/// function that the parent has yet to return from.
///
/// # Safety
/// `args` ask for `CLONE_VM` with `CLONE_VFORK` and for no other stack, and `enter` may be called with `argument`.
#[cfg(target_arch = "x86_64")]
unsafe fn clone_and_call(
    args: &libc::clone_args,
    enter: extern "C" fn(*mut libc::c_void) -> !,
    argument: *mut libc::c_void,
) -> i64 {
    let ret: i64;
    // SAFETY: the parent's registers are as the kernel found them, but for the three that are named, and it goes on when the
    // child has ended; the child writes to the stack below only, as any function that is called, and the compiler expects a call
    // (no `nostack`), so that the stack is aligned and nothing of use is below it.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov rdi, rdx",
            "call r8",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => ret,
            in("rdi") std::ptr::from_ref(args),
            in("rsi") size_of::<libc::clone_args>(),
            in("rdx") argument,
            in("r8") enter,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    ret
}

/// As above.
#[cfg(target_arch = "aarch64")]
unsafe fn clone_and_call(
    args: &libc::clone_args,
    enter: extern "C" fn(*mut libc::c_void) -> !,
    argument: *mut libc::c_void,
) -> i64 {
    let ret: i64;
    // SAFETY: as above; a system call changes no register but x0.
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x0, x2",
            "blr x3",
            "brk 1",
            "2:",
            in("x8") libc::SYS_clone3,
            inlateout("x0") std::ptr::from_ref(args) as i64 => ret,
            in("x1") size_of::<libc::clone_args>(),
            in("x2") argument,
            in("x3") enter,
        );
    }
    ret
}

/// Elsewhere there is none, and callers do without it.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn clone_and_call(
    _: &libc::clone_args,
    _: extern "C" fn(*mut libc::c_void) -> !,
    _: *mut libc::c_void,
) -> i64 {
    -i64::from(libc::ENOSYS)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use nix::sys::wait::{WaitStatus, waitpid};
    use nix::unistd::Pid;

    use super::*;

    #[test]
    fn child_shares_memory_and_nothing_else() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let (parent, mut list) = (std::process::id(), vec![1_u8]);
        let ended = vfork(None, &mut || {
            crate::fds::close_all_but(&[]).unwrap();
            list.extend([2; 5000]);
            (nix::unistd::getppid(), "x".repeat(3))
        })
        .unwrap();
        assert_eq!(ended.result, Some((Pid::from_raw(parent as i32), "xxx".to_owned())));
        assert_eq!(list.len(), 5001);
        assert!(nix::fcntl::fcntl(file.as_raw_fd(), nix::fcntl::FcntlArg::F_GETFD).is_ok());
        let status = waitpid(Pid::from_raw(ended.pid), None).unwrap();
        assert_eq!(status, WaitStatus::Exited(Pid::from_raw(ended.pid), 0));
    }

    #[test]
    fn child_that_ends_early_has_no_result() {
        let ended = vfork::<()>(None, &mut || crate::exec::exit_now(7)).unwrap();
        assert!(ended.result.is_none());
        let status = waitpid(Pid::from_raw(ended.pid), None).unwrap();
        assert_eq!(status, WaitStatus::Exited(Pid::from_raw(ended.pid), 7));
    }

    #[test]
    fn refusal_is_an_error() {
        let none = std::fs::File::open("/dev/null").unwrap();
        let mut called = false;
        let result = vfork(Some(none.as_raw_fd()), &mut || called = true);
        assert_eq!(result.err(), Some(Errno::EBADF));
        assert!(!called);
    }
}
