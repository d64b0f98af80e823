//! execve(2) with the environment in its given order, and an exit for a child that runs no destructors.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// A program with its arguments and its environment, ready to be executed without any further allocation.
pub struct Program {
    path: CString,
    // The strings that the pointers point to.
    _strings: Vec<CString>,
    args: Vec<*const libc::c_char>,
    env: Vec<*const libc::c_char>,
}

impl Program {
    /// Takes everything that is passed to execve(2).
    pub fn new(path: CString, args: Vec<CString>, env: Vec<CString>) -> Self {
        let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
            list.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
        };
        let (arg_pointers, env_pointers) = (pointers(&args), pointers(&env));
        let mut strings = args;
        // A CString's bytes stay in place when it is moved.
        strings.extend(env);
        Self { path, _strings: strings, args: arg_pointers, env: env_pointers }
    }

    /// The path of the program.
    pub fn path(&self) -> &CStr {
        &self.path
    }

    /// Replaces the process; returns only on failure.
    pub fn execute(&self) -> Errno {
        self.execute_path(&self.path)
    }

    /// Executes an open file instead of the path, as fexecve(3) does; returns only on failure.
    pub fn execute_file(&self, fd: BorrowedFd<'_>) -> Errno {
        match self.execute_at(fd) {
            // A seccomp filter around this process may not know execveat(2).
            Errno::ENOSYS | Errno::EPERM => {}
            errno => return errno,
        }
        let Ok(path) = CString::new(format!("/proc/self/fd/{}", fd.as_raw_fd())) else {
            return Errno::EINVAL;
        };
        self.execute_path(&path)
    }

    fn execute_path(&self, path: &CStr) -> Errno {
        // SAFETY: both arrays end in a null pointer; the strings that they point to are ours and outlive the call, as the path
        // does.
        unsafe { execute(path.as_ptr(), self.args.as_ptr(), self.env.as_ptr()) };
        Errno::last()
    }

    fn execute_at(&self, fd: BorrowedFd<'_>) -> Errno {
        crate::actions::restore_before_execution();
        // SAFETY: as above; the path is an empty C string.
        unsafe {
            libc::syscall(
                libc::SYS_execveat,
                fd.as_raw_fd(),
                c"".as_ptr(),
                self.args.as_ptr(),
                self.env.as_ptr(),
                libc::AT_EMPTY_PATH,
            )
        };
        Errno::last()
    }
}

/// execve(2) with the action for a signal of musl that our own caller had chosen.
///
/// # Safety
/// As for execve(2): a path and two arrays of strings, each of which ends in a null pointer.
#[doc(hidden)]
pub unsafe fn execute(
    path: *const libc::c_char,
    args: *const *const libc::c_char,
    env: *const *const libc::c_char,
) -> libc::c_int {
    crate::actions::restore_before_execution();
    // SAFETY: the caller's arguments.
    unsafe { libc::syscall(libc::SYS_execve, path, args, env) as libc::c_int }
}

/// Exits from a cloned child immediately, without destructors and without flushing buffers that belong to the
/// parent.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit takes any number and does not return.
    unsafe { libc::_exit(code) }
}
