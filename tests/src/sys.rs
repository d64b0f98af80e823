//! System calls that have no safe wrapper; the only unsafe code of the tests.
#![allow(unsafe_code)]

use std::io::{Error, Result};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::wait::{WaitPidFlag, WaitStatus};
use nix::unistd::Pid;

/// Sets a terminal's window size (`TIOCSWINSZ` in `tty_ioctl(2)`).
pub fn set_window_size(terminal: &impl AsFd, rows: u16, columns: u16) -> Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open while borrowed, and the kernel only reads the structure.
    let result = unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    if result == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

/// Reads a terminal's window size as rows and columns (`TIOCGWINSZ` in `tty_ioctl(2)`).
pub fn window_size(terminal: &impl AsFd) -> Result<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open while borrowed, and the kernel fills exactly this structure.
    let result = unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    if result == 0 { Ok((size.ws_row, size.ws_col)) } else { Err(Error::last_os_error()) }
}

/// Pushes a byte into a terminal's input, as if it had been typed (`TIOCSTI` in `tty_ioctl(2)`).
pub fn push_into_terminal(terminal: RawFd, byte: u8) -> Result<()> {
    // SAFETY: the kernel only reads the byte, and a descriptor that is no terminal is an error.
    let result = unsafe { libc::ioctl(terminal, libc::TIOCSTI, &raw const byte) };
    if result == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}

/// Pastes a selection from a console's screen into its input (`TIOCLINUX` in `ioctl_console(2)`): selects the first
/// line by subcode 2, and pastes it by subcode 3.
pub fn paste_into_console(console: RawFd) -> Result<()> {
    // The subcode, a byte that aligns what follows, then xs, ys, xe, ye and the mode, which is the whole line.
    let mut select = [0_u16; 6];
    select[0] = u16::from_ne_bytes([0, 2]);
    (select[1], select[2], select[3], select[4], select[5]) = (1, 1, 80, 1, 2);
    let select: Vec<u8> = select.iter().flat_map(|number| number.to_ne_bytes()).collect();
    let paste = 3_u8;
    for argument in [&select[1..], &[paste]] {
        // SAFETY: the kernel reads at most as much as the subcode has, and writes nothing for these two.
        let result = unsafe { libc::ioctl(console, libc::TIOCLINUX, argument.as_ptr()) };
        if result < 0 {
            return Err(Error::last_os_error());
        }
    }
    Ok(())
}

/// Takes ownership of a descriptor that the kernel has just put into this process, as with `SCM_RIGHTS`.
pub fn own(received: RawFd) -> OwnedFd {
    // SAFETY: the caller got the number from the kernel in a message and has given it to nobody else.
    unsafe { OwnedFd::from_raw_fd(received) }
}

/// The resources that a command and every descendant that was waited for needed (`getrusage(2)`).
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// The status that `wait4(2)` returns.
    pub status: i32,
    /// The peak resident set, in KiB.
    pub peak: i64,
    /// Page faults, minor and major.
    pub faults: i64,
}

/// Runs a command, and returns the resources that it needed (`wait4(2)`).
#[allow(clippy::zombie_processes)] // wait4 waits, which clippy cannot see
pub fn run_with_usage(command: &mut Command) -> Result<Usage> {
    let child = command.spawn()?;
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to locals that outlive the call.
    let waited = unsafe { libc::wait4(child.id() as libc::pid_t, &raw mut status, 0, &raw mut usage) };
    if waited < 0 {
        return Err(Error::last_os_error());
    }
    Ok(Usage { status, peak: usage.ru_maxrss, faults: usage.ru_minflt + usage.ru_majflt })
}

/// Makes any system call. The arguments are numbers; none of those that tests give is an address.
pub fn system_call(number: i64, arguments: [i64; 6]) -> Result<i64> {
    let a = arguments;
    // SAFETY: the probe makes calls that read and write no memory, with addresses that are null at most.
    let result = unsafe { libc::syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]) };
    if result == -1 { Err(Error::last_os_error()) } else { Ok(result) }
}

/// Describes the session keyring: type, uid, gid, permissions and name (`KEYCTL_DESCRIBE` in `keyctl(2)`).
pub fn session_keyring() -> Result<String> {
    ask_session_keyring(libc::KEYCTL_DESCRIBE)
}

/// The label that a security module has given to the session keyring (`KEYCTL_GET_SECURITY` in `keyctl(2)`).
pub fn session_keyring_label() -> Result<String> {
    ask_session_keyring(libc::KEYCTL_GET_SECURITY)
}

/// Both operations fill a buffer with text, and return how much there is.
fn ask_session_keyring(operation: u32) -> Result<String> {
    let mut text = [0_u8; 4096];
    let keyring = libc::KEY_SPEC_SESSION_KEYRING;
    // SAFETY: the kernel writes at most as many bytes as the buffer has.
    let length =
        unsafe { libc::syscall(libc::SYS_keyctl, operation, keyring, text.as_mut_ptr(), text.len()) };
    let length = usize::try_from(length).map_err(|_| Error::last_os_error())?;
    Ok(String::from_utf8_lossy(&text[..length.min(text.len())]).trim_end_matches('\0').to_owned())
}

/// The SELinux label of a file (`getxattr(2)`).
pub fn selinux_label(file: &str) -> Result<String> {
    let mut text = [0_u8; 4096];
    let path = std::ffi::CString::new(file)?;
    let name = c"security.selinux";
    // SAFETY: both strings outlive the call, and the kernel writes at most as many bytes as the buffer has.
    let length =
        unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), text.as_mut_ptr().cast(), text.len()) };
    let length = usize::try_from(length).map_err(|_| Error::last_os_error())?;
    Ok(String::from_utf8_lossy(&text[..length]).trim_end_matches('\0').to_owned())
}

/// Waits for a call that a seccomp filter leaves to this listener (`SECCOMP_IOCTL_NOTIF_RECV` in
/// `seccomp_unotify(2)`), and refuses it with `errno`. Returns the number of the call.
pub fn refuse_notified_call(listener: &impl AsFd, errno: i32) -> Result<i32> {
    // linux/seccomp.h: SECCOMP_IOWR(0, struct seccomp_notif), SECCOMP_IOWR(1, struct seccomp_notif_resp)
    const RECEIVE: libc::c_ulong = 0xc050_2100;
    const SEND: libc::c_ulong = 0xc018_2101;
    let listener = listener.as_fd().as_raw_fd();
    // SAFETY: seccomp_notif is plain numbers, and has to be zero before the kernel fills it.
    let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open while borrowed, and the kernel fills exactly this structure.
    if unsafe { libc::ioctl(listener, RECEIVE, &raw mut call) } != 0 {
        return Err(Error::last_os_error());
    }
    let answer = libc::seccomp_notif_resp { id: call.id, val: 0, error: -errno, flags: 0 };
    // SAFETY: as above; the kernel only reads the structure.
    if unsafe { libc::ioctl(listener, SEND, &raw const answer) } != 0 {
        return Err(Error::last_os_error());
    }
    Ok(call.data.nr)
}

/// Makes this process trace the command from its start (`PTRACE_TRACEME` in `ptrace(2)`): it stops at execve(2).
pub fn traced(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec the closure makes one system call; it neither allocates nor locks.
    unsafe { command.pre_exec(|| Ok(nix::sys::ptrace::traceme()?)) }
}

/// signal(7): the kernel's realtime signals, of which glibc reserves two. PTRACE_O_TRACESYSGOOD adds 0x80 to
/// SIGTRAP, which is above the last one.
const REALTIME: std::ops::RangeInclusive<i32> = 32..=64;

/// The result of waitpid(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// A status that nix can represent.
    Status(WaitStatus),
    /// A traced process has stopped for a realtime signal, which nix cannot represent.
    RealTime(Pid, i32),
}

/// Waits like waitpid(2).
pub fn wait_for(pid: Pid, flags: WaitPidFlag) -> nix::Result<Waited> {
    let mut status = 0;
    // SAFETY: `status` is writable for the time of the call.
    let found = unsafe { libc::waitpid(pid.as_raw(), &raw mut status, flags.bits()) };
    match nix::errno::Errno::result(found)? {
        0 => Ok(Waited::Status(WaitStatus::StillAlive)),
        found if libc::WIFSTOPPED(status) && REALTIME.contains(&libc::WSTOPSIG(status)) => {
            Ok(Waited::RealTime(Pid::from_raw(found), libc::WSTOPSIG(status)))
        }
        found => WaitStatus::from_raw(Pid::from_raw(found), status).map(Waited::Status),
    }
}

/// Lets a traced process continue with a signal of any number, until its next system call or until it stops for
/// another reason.
pub fn go_on_with(pid: Pid, signal: i32, to_next_call: bool) -> nix::Result<()> {
    let request = if to_next_call { libc::PTRACE_SYSCALL } else { libc::PTRACE_CONT };
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: the requests take two numbers and no memory.
    let result = unsafe { libc::ptrace(request, pid.as_raw(), nothing, libc::c_long::from(signal)) };
    nix::errno::Errno::result(result).map(drop)
}

/// Where a traced process has stopped with respect to a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStop {
    /// Before the call is made; its number.
    Entry(i64),
    /// After the call; its result.
    Exit(i64),
    /// Not at a system call.
    Other,
}

/// Asks where a traced process has stopped (`PTRACE_GET_SYSCALL_INFO` in `ptrace(2)`).
pub fn call_stop(pid: Pid) -> nix::Result<CallStop> {
    // SAFETY: the structure is plain numbers, for which zero is a value.
    let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
    let size = size_of_val(&info);
    // SAFETY: the kernel writes at most as many bytes as the structure has.
    let result = unsafe { libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, pid.as_raw(), size, &raw mut info) };
    nix::errno::Errno::result(result)?;
    // SAFETY: the kernel says by `op` which member of the union it has filled.
    Ok(unsafe {
        match info.op {
            libc::PTRACE_SYSCALL_INFO_ENTRY => CallStop::Entry(info.u.entry.nr as i64),
            libc::PTRACE_SYSCALL_INFO_EXIT => CallStop::Exit(info.u.exit.sval),
            _ => CallStop::Other,
        }
    })
}

/// Makes a traced process that is about to make a system call make none (`NT_ARM_SYSTEM_CALL` in linux/elf.h).
#[cfg(target_arch = "aarch64")]
pub fn skip_call(pid: Pid) -> nix::Result<()> {
    const NT_ARM_SYSTEM_CALL: libc::c_int = 0x404;
    let mut none: libc::c_int = -1;
    let size = size_of_val(&none);
    let vector = libc::iovec { iov_base: (&raw mut none).cast(), iov_len: size };
    // SAFETY: the kernel reads the number that the vector points to.
    let result =
        unsafe { libc::ptrace(libc::PTRACE_SETREGSET, pid.as_raw(), NT_ARM_SYSTEM_CALL, &raw const vector) };
    nix::errno::Errno::result(result).map(drop)
}

/// Does the same; here the number of the call is a register.
#[cfg(target_arch = "x86_64")]
pub fn skip_call(pid: Pid) -> nix::Result<()> {
    let mut registers = nix::sys::ptrace::getregs(pid)?;
    registers.orig_rax = u64::MAX;
    nix::sys::ptrace::setregs(pid, registers)
}

/// Sets the result of the system call that a traced process has just made.
pub fn set_result(pid: Pid, value: i64) -> nix::Result<()> {
    let mut registers = nix::sys::ptrace::getregs(pid)?;
    #[cfg(target_arch = "x86_64")]
    (registers.rax = value as u64);
    #[cfg(target_arch = "aarch64")]
    (registers.regs[0] = value as u64);
    nix::sys::ptrace::setregs(pid, registers)
}

/// Sets the first argument of the system call that a traced process is about to make.
pub fn set_argument(pid: Pid, value: u64) -> nix::Result<()> {
    let mut registers = nix::sys::ptrace::getregs(pid)?;
    #[cfg(target_arch = "x86_64")]
    (registers.rdi = value);
    #[cfg(target_arch = "aarch64")]
    (registers.regs[0] = value);
    nix::sys::ptrace::setregs(pid, registers)
}

/// Whether a name matches a pattern, including what bash supports besides `*`, `?` and `[...]`: `@(one|other)` and
/// the like (`FNM_EXTMATCH` in `fnmatch(3)`).
pub fn matches_pattern(pattern: &str, name: &str) -> bool {
    // fnmatch.h; the libc crate does not have it.
    const FNM_EXTMATCH: libc::c_int = 1 << 5;
    let [pattern, name] = [pattern, name].map(std::ffi::CString::new);
    let (Ok(pattern), Ok(name)) = (pattern, name) else { return false };
    // SAFETY: both are strings that end with zero and outlive the call, which only reads them.
    unsafe { libc::fnmatch(pattern.as_ptr(), name.as_ptr(), FNM_EXTMATCH) == 0 }
}
