//! Threads: how many there are, and what a second thread of a cloned child needs to get along with the child's
//! seccomp filter and with execve(2).

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::AtomicU32;

const TASKS: &str = "/proc/self/task";

/// How many threads of the process are running its code. A thread that was joined remains in the list of
/// threads for a moment, but only in the kernel, after it has released everything that it held.
pub fn count() -> std::io::Result<u64> {
    // The directory has one link for each thread in it, and two more.
    if std::fs::metadata(TASKS)?.nlink() == 3 {
        return Ok(1);
    }
    let tasks = crate::directory::entries(Path::new(TASKS))?;
    Ok(tasks.iter().filter(|task| !is_ending(&task.name)).count() as u64)
}

fn is_ending(task: &OsStr) -> bool {
    /// `PF_EXITING` of linux/sched.h, in field 9 of proc_pid_stat(5). The name in field 2 may contain
    /// parentheses and spaces.
    const ENDING: u32 = 4;
    let stat = std::fs::read(Path::new(TASKS).join(task).join("stat")).unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat);
    let flags =
        stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().nth(6)?.parse::<u32>().ok());
    // If it cannot be read any more, the thread has ended.
    flags.is_none_or(|flags| flags & ENDING != 0)
}

/// Makes the kernel set `word` to 0 when the calling thread ends for any reason (set_tid_address(2)). Other
/// threads of the process can see that.
pub fn clear_at_end(word: &'static AtomicU32) {
    // SAFETY: the kernel writes four bytes that are an atomic number and stay as long as the process does. The C library
    // waits for the number that it had there before only for threads that it has made, and the caller is none.
    unsafe { libc::syscall(libc::SYS_set_tid_address, word.as_ptr()) };
}

/// Ends only the calling thread, and immediately: it frees nothing, so it cannot hold a lock of the allocator
/// when another thread clones a process. `code` is the exit code of the process if this is its last thread.
pub fn exit_alone(code: i32) -> ! {
    loop {
        // SAFETY: exit takes any number and ends the thread; what it has on its stack is used by no other.
        unsafe { libc::syscall(libc::SYS_exit, code) };
    }
}

/// Lets others run for a moment. It does not matter whether a seccomp filter permits the call.
pub fn pause() {
    let moment = libc::timespec { tv_sec: 0, tv_nsec: 100_000 };
    // SAFETY: the structure outlives the call, and what is left of the time is not asked for.
    unsafe { libc::syscall(libc::SYS_nanosleep, &raw const moment, std::ptr::null_mut::<libc::timespec>()) };
    std::hint::spin_loop();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_counts_until_it_ends() {
        // A test runs in a thread of its own.
        assert!(count().expect("count the threads") >= 2);
        assert!(is_ending(OsStr::new("0")), "there is no such thread");
        assert!(!is_ending(OsStr::new(&nix::unistd::gettid().to_string())));
    }
}
