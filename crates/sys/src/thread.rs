//! Threads: how many there are, and a second one of a cloned child, which the child's own filter and execve(2) are to make no
//! difference to.

use std::sync::atomic::AtomicU32;

/// How many threads the process has. `/proc/self/task` is linked by each of its directories, and two times more.
pub fn count() -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata("/proc/self/task")?.nlink().saturating_sub(2))
}

/// Has the kernel put 0 there when the calling thread ends, whatever ends it (set_tid_address(2)). Other threads of the
/// process see it.
pub fn clear_at_end(word: &'static AtomicU32) {
    // SAFETY: the kernel writes four bytes that are an atomic number and stay as long as the process does. The C library
    // waits for the number that it had there before only for threads that it has made, and the caller is none.
    unsafe { libc::syscall(libc::SYS_set_tid_address, word.as_ptr()) };
}

/// Ends the calling thread alone, and at once: it frees nothing, so that it holds no lock of the allocator when another
/// thread clones a process. `code`: that of the process, should this be its last thread.
pub fn exit_alone(code: i32) -> ! {
    loop {
        // SAFETY: exit takes any number and ends the thread; what it has on its stack is used by no other.
        unsafe { libc::syscall(libc::SYS_exit, code) };
    }
}

/// Lets others run for a moment; what a seccomp filter thinks of that is of no importance.
pub fn pause() {
    let moment = libc::timespec { tv_sec: 0, tv_nsec: 100_000 };
    // SAFETY: the structure outlives the call, and what is left of the time is not asked for.
    unsafe { libc::syscall(libc::SYS_nanosleep, &raw const moment, std::ptr::null_mut::<libc::timespec>()) };
    std::hint::spin_loop();
}
