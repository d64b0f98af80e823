//! bpf(2), as far as device programs of cgroups need it.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

// Commands and constants of bpf(2), from linux/bpf.h.
const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_DETACH: libc::c_int = 9;
const BPF_PROG_GET_FD_BY_ID: libc::c_int = 13;
const BPF_PROG_QUERY: libc::c_int = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

/// The kernel's limit of programs on one cgroup (`BPF_CGROUP_MAX_PROGS`).
const MAX_PROGRAMS: usize = 64;

/// The members of `union bpf_attr` for `BPF_PROG_LOAD`, as far as they are used. The kernel takes the rest of
/// the union as zero.
#[repr(C)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// The members for `BPF_PROG_ATTACH` and `BPF_PROG_DETACH`.
#[repr(C)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

/// The members for `BPF_PROG_QUERY`.
#[repr(C)]
struct QueryAttr {
    target_fd: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

/// The members for `BPF_PROG_GET_FD_BY_ID`.
#[repr(C)]
struct ByIdAttr {
    prog_id: u32,
    next_id: u32,
    open_flags: u32,
    padding: u32,
}

/// Calls bpf(2) with `attr` as its union.
///
/// # Safety
/// `attr` must be the structure of `command`, and every address in it valid for what the command
/// does with it.
unsafe fn bpf<T>(command: libc::c_int, attr: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: `attr` is a live, exclusively borrowed value of the size given; the addresses inside
    // are the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn raw(fd: BorrowedFd) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

fn owned(fd: libc::c_long) -> OwnedFd {
    // SAFETY: called with what a bpf command that returns a new descriptor has just returned, so
    // nobody else owns it. The kernel opens these with O_CLOEXEC.
    unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
}

/// Loads instructions, eight bytes each, as a cgroup device program.
pub fn load_device_program(instructions: &[u8]) -> io::Result<OwnedFd> {
    let license = c"Apache-2.0";
    let mut attr = LoadAttr {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: (instructions.len() / 8) as u32,
        insns: instructions.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
    };
    // SAFETY: both addresses are of live values; the kernel only reads them, the instructions for
    // the length given and the license up to its NUL.
    unsafe { bpf(BPF_PROG_LOAD, &mut attr) }.map(owned)
}

fn attach_attr(cgroup: BorrowedFd, program: BorrowedFd, attach_flags: u32) -> AttachAttr {
    AttachAttr {
        target_fd: raw(cgroup),
        attach_bpf_fd: raw(program),
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags,
    }
}

/// Attaches a device program to a cgroup, in addition to any others.
pub fn attach_device_program(cgroup: BorrowedFd, program: BorrowedFd) -> io::Result<()> {
    let mut attr = attach_attr(cgroup, program, BPF_F_ALLOW_MULTI);
    // SAFETY: the structure holds no address.
    unsafe { bpf(BPF_PROG_ATTACH, &mut attr) }.map(drop)
}

/// Detaches a device program from a cgroup.
pub fn detach_device_program(cgroup: BorrowedFd, program: BorrowedFd) -> io::Result<()> {
    let mut attr = attach_attr(cgroup, program, 0);
    // SAFETY: the structure holds no address.
    unsafe { bpf(BPF_PROG_DETACH, &mut attr) }.map(drop)
}

/// The ids of the device programs that are attached to the cgroup itself.
pub fn attached_device_programs(cgroup: BorrowedFd) -> io::Result<Vec<u32>> {
    let mut ids = vec![0_u32; MAX_PROGRAMS];
    let mut attr = QueryAttr {
        target_fd: raw(cgroup),
        attach_type: BPF_CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: MAX_PROGRAMS as u32,
        padding: 0,
    };
    // SAFETY: `ids` is live and has room for the count given, above which the kernel never writes.
    unsafe { bpf(BPF_PROG_QUERY, &mut attr) }?;
    ids.truncate(attr.prog_cnt as usize);
    Ok(ids)
}

/// Opens a descriptor of a loaded program.
pub fn program_by_id(id: u32) -> io::Result<OwnedFd> {
    let mut attr = ByIdAttr { prog_id: id, next_id: 0, open_flags: 0, padding: 0 };
    // SAFETY: the structure holds no address.
    unsafe { bpf(BPF_PROG_GET_FD_BY_ID, &mut attr) }.map(owned)
}
