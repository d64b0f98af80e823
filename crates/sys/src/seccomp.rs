//! seccomp(2): loads a compiled filter.

use std::os::fd::RawFd;

use nix::errno::Errno;

/// Size of `struct sock_filter`, linux/filter.h.
const INSTRUCTION: usize = 8;

/// Installs a filter program, an array of `struct sock_filter`.
///
/// Returns the listener's descriptor if `flags` has `SECCOMP_FILTER_FLAG_NEW_LISTENER`. Requires `no_new_privs`
/// or `CAP_SYS_ADMIN`.
pub fn load(bpf: &[u8], flags: u32) -> Result<RawFd, Errno> {
    if bpf.is_empty() || !bpf.len().is_multiple_of(INSTRUCTION) {
        return Err(Errno::EINVAL);
    }
    let len = u16::try_from(bpf.len() / INSTRUCTION).map_err(|_| Errno::E2BIG)?;
    // The kernel copies from any alignment, so the bytes can be passed as they are.
    let program = libc::sock_fprog { len, filter: bpf.as_ptr().cast_mut().cast() };
    // SAFETY: the program covers `len` instructions of `bpf`, which outlives the call and is only read.
    let ret =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    super::check(ret).map(|fd| fd as RawFd)
}
