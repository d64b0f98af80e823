//! Threads: how many there are, and a second one of a cloned child, which the child's own filter and execve(2) are to make no
//! difference to.

use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::AtomicU32;

const TASKS: &str = "/proc/self/task";

/// How many threads of the process run its code. One that has been joined is in the list of its threads for a moment longer, but
/// only in the kernel, where it has given back all that it held.
pub fn count() -> std::io::Result<u64> {
    // The directory is linked by each that is in it, and two times more.
    if std::fs::metadata(TASKS)?.nlink() == 3 {
        return Ok(1);
    }
    let tasks = crate::directory::entries(Path::new(TASKS))?;
    Ok(tasks.iter().filter(|task| !is_ending(&task.name)).count() as u64)
}

fn is_ending(task: &OsStr) -> bool {
    /// `PF_EXITING` of linux/sched.h, in field 9 of proc_pid_stat(5). The name, field 2, may have brackets and spaces.
    const ENDING: u32 = 4;
    let stat = std::fs::read(Path::new(TASKS).join(task).join("stat")).unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat);
    let flags =
        stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().nth(6)?.parse::<u32>().ok());
    // Where it cannot be read any more, it has ended.
    flags.is_none_or(|flags| flags & ENDING != 0)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_counts_until_it_ends() {
        // A test has a thread of its own.
        assert!(count().expect("count the threads") >= 2);
        assert!(is_ending(OsStr::new("0")), "there is no such thread");
        assert!(!is_ending(OsStr::new(&nix::unistd::gettid().to_string())));
    }
}
