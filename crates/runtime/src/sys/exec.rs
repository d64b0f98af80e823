//! execve(2) with the environment in its given order, and the end of a child without destructors.

use std::ffi::{CStr, CString};

use nix::errno::Errno;

/// Replaces the process; returns only on failure.
pub(crate) fn execve(path: &CStr, args: &[CString], env: &[CString]) -> Errno {
    match nix::unistd::execve(path, args, env) {
        Ok(never) => match never {},
        Err(errno) => errno,
    }
}

/// Executes an open file, as fexecve(3) does but without /proc; returns only on failure.
pub(crate) fn execveat(fd: std::os::fd::BorrowedFd<'_>, args: &[CString], env: &[CString]) -> Errno {
    use std::os::fd::AsRawFd;
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: both arrays end in a null pointer and, like the strings they point to, outlive the call.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd.as_raw_fd(),
            c"".as_ptr(),
            args.as_ptr(),
            env.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Errno::last()
}

/// Ends a cloned child at once: no destructor, no flush of buffers that belong to the parent.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit takes any number and does not return.
    unsafe { libc::_exit(code) }
}
