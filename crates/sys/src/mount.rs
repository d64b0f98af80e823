//! The descriptor-based mount interface: open_tree(2), mount_setattr(2), fsopen(2), move_mount(2).

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};

/// The flags of mount(2) and statfs(2) as plain numbers. Tables list them beside the attributes of
/// mount_setattr(2), for which nix has no type, and nix does not know all of the flags.
pub use libc::{
    MS_DIRSYNC, MS_I_VERSION, MS_LAZYTIME, MS_MANDLOCK, MS_NOATIME, MS_NODEV, MS_NODIRATIME, MS_NOEXEC,
    MS_NOSUID, MS_NOSYMFOLLOW, MS_PRIVATE, MS_RDONLY, MS_REC, MS_RELATIME, MS_SHARED, MS_SILENT, MS_SLAVE,
    MS_STRICTATIME, MS_SYNCHRONOUS, MS_UNBINDABLE, ST_NOATIME, ST_NODEV, ST_NODIRATIME, ST_NOEXEC, ST_NOSUID,
    ST_RDONLY,
};

/// linux/statfs.h
pub const ST_RELATIME: libc::c_ulong = 0x1000;
/// linux/statfs.h
pub const ST_NOSYMFOLLOW: u64 = 0x2000;

/// What statfs(2) says of a mount, with the flags as they are: nix leaves out `ST_RELATIME` where musl is linked.
#[derive(Clone, Copy)]
pub struct MountFacts {
    /// The magic number of the file system.
    pub magic: u64,
    /// `ST_*`
    pub flags: u64,
}

/// The facts of the mount that a path is on.
pub fn facts_at(path: &Path) -> std::io::Result<MountFacts> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path is a C string.
    Ok(facts(|found| unsafe { libc::statfs64(path.as_ptr(), found) })?)
}

/// The facts of the mount that a descriptor is on.
pub fn facts_of(fd: BorrowedFd<'_>) -> Result<MountFacts, Errno> {
    // SAFETY: the descriptor is open.
    facts(|found| unsafe { libc::fstatfs64(fd.as_raw_fd(), found) })
}

fn facts(call: impl FnOnce(*mut libc::statfs64) -> libc::c_int) -> Result<MountFacts, Errno> {
    // SAFETY: plain data for which all zeroes is valid.
    let mut found: libc::statfs64 = unsafe { std::mem::zeroed() };
    super::check(call(&raw mut found).into())?;
    Ok(MountFacts { magic: found.f_type as u64, flags: found.f_flags as u64 })
}

/// mount_setattr(2) attributes, linux/mount.h.
pub mod attr {
    pub use libc::{
        MOUNT_ATTR__ATIME as ATIME, MOUNT_ATTR_IDMAP as IDMAP, MOUNT_ATTR_NOATIME as NOATIME,
        MOUNT_ATTR_NODEV as NODEV, MOUNT_ATTR_NODIRATIME as NODIRATIME, MOUNT_ATTR_NOEXEC as NOEXEC,
        MOUNT_ATTR_NOSUID as NOSUID, MOUNT_ATTR_NOSYMFOLLOW as NOSYMFOLLOW, MOUNT_ATTR_RDONLY as RDONLY,
        MOUNT_ATTR_RELATIME as RELATIME, MOUNT_ATTR_STRICTATIME as STRICTATIME,
    };
}

/// `struct mount_attr`, linux/mount.h.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountAttr {
    /// Attributes to set.
    pub set: u64,
    /// Attributes to clear.
    pub clear: u64,
    /// `MS_SHARED` or another propagation type; 0 for no change.
    pub propagation: u64,
    /// The user namespace of an id-mapped mount.
    pub userns_fd: u64,
}

fn c_path(path: &Path) -> Result<CString, Errno> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}

/// A detached copy of the mount at an open file or, if `recursive`, of the tree there.
pub fn clone_tree(fd: BorrowedFd<'_>, recursive: bool) -> Result<OwnedFd, Errno> {
    open_tree(fd.as_raw_fd(), c"", recursive, libc::AT_EMPTY_PATH)
}

/// Does the same by path, without triggering an automount there.
pub fn clone_tree_at(path: &Path, recursive: bool, follow: bool) -> Result<OwnedFd, Errno> {
    let nofollow = if follow { 0 } else { libc::AT_SYMLINK_NOFOLLOW };
    open_tree(libc::AT_FDCWD, &c_path(path)?, recursive, libc::AT_NO_AUTOMOUNT | nofollow)
}

/// Does the same with only the one mount, and gives it attributes at once; new in Linux 6.15.
pub fn clone_with_attr(path: &Path, attr: &MountAttr) -> Result<OwnedFd, Errno> {
    // linux/unistd.h, the same number on all architectures but alpha; the libc crate has no constant for it.
    const SYS_OPEN_TREE_ATTR: libc::c_long = 467;
    let path = c_path(path)?;
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_NO_AUTOMOUNT as u32;
    // SAFETY: the path is a C string that outlives the call, and so does attr, which has the layout and the size that are
    // handed over.
    let ret = unsafe {
        libc::syscall(
            SYS_OPEN_TREE_ATTR,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    };
    own(ret)
}

fn open_tree(dir: RawFd, path: &CStr, recursive: bool, at: i32) -> Result<OwnedFd, Errno> {
    let mut flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | at as u32;
    if recursive {
        flags |= libc::AT_RECURSIVE as u32;
    }
    // SAFETY: the path is a C string that outlives the call.
    let ret = unsafe { libc::syscall(libc::SYS_open_tree, dir, path.as_ptr(), flags) };
    own(ret)
}

/// Changes flags, propagation or id map of the mount at an open file or, if `recursive`, of the tree there.
pub fn set_attr(fd: BorrowedFd<'_>, recursive: bool, attr: &MountAttr) -> Result<(), Errno> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: attr has the layout and the size that are handed over and outlives the call.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    };
    super::check(ret).map(drop)
}

/// Whether the kernel has mount_setattr(2), which is new in Linux 5.12, or whoever confines the caller says that it has not.
pub fn has_set_attr() -> bool {
    // SAFETY: the path is a constant C string, and nothing is read of attributes whose size is 0, which is an error.
    let ret = unsafe {
        libc::syscall(libc::SYS_mount_setattr, -1, c"".as_ptr(), 0, std::ptr::null::<MountAttr>(), 0_usize)
    };
    super::check(ret).err() != Some(Errno::ENOSYS)
}

/// Attaches a detached mount at an open file or directory.
pub fn attach(mount: BorrowedFd<'_>, at: BorrowedFd<'_>) -> Result<(), Errno> {
    // linux/mount.h: MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH
    let flags = 0x4 | 0x40;
    // SAFETY: both paths are constant C strings, both descriptors are borrowed for the call.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            at.as_raw_fd(),
            c"".as_ptr(),
            flags,
        )
    };
    super::check(ret).map(drop)
}

/// Why no file system was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The errno that the kernel returned.
    pub errno: Errno,
    /// The option that the kernel refused, if it was one.
    pub option: Option<String>,
    /// The kernel's message about it, if there is one: the log of fsopen(2).
    pub log: Option<String>,
}

impl From<Errno> for Refused {
    fn from(errno: Errno) -> Self {
        Self { errno, option: None, log: None }
    }
}

impl From<Refused> for Errno {
    fn from(refused: Refused) -> Self {
        refused.errno
    }
}

/// Makes a new, detached mount of a file system that is configured with data options.
pub fn new_filesystem(kind: &str, source: &str, data: &[String], attr: u64) -> Result<OwnedFd, Refused> {
    let name = CString::new(kind).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the name is a C string that outlives the call.
    let context = own(unsafe { libc::syscall(libc::SYS_fsopen, name.as_ptr(), 1) })?;
    let refused = |errno, option: Option<&str>| Refused {
        errno,
        option: option.map(str::to_owned),
        log: log(&context),
    };
    configure(&context, FSCONFIG_SET_STRING, Some("source"), Some(source)).map_err(|e| refused(e, None))?;
    for option in data {
        match option.split_once('=') {
            Some((key, value)) => configure(&context, FSCONFIG_SET_STRING, Some(key), Some(value)),
            None => configure(&context, FSCONFIG_SET_FLAG, Some(option), None),
        }
        .map_err(|errno| refused(errno, Some(option)))?;
    }
    configure(&context, FSCONFIG_CMD_CREATE, None, None).map_err(|e| refused(e, None))?;
    // SAFETY: takes numbers only; FSMOUNT_CLOEXEC is 1.
    Ok(own(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), 1, attr) })?)
}

/// The kernel's messages for a context, one for each read, such as `e tmpfs: Unknown parameter 'x'`.
fn log(context: &OwnedFd) -> Option<String> {
    // The kernel keeps eight entries, and drops the oldest beyond that.
    const ENTRIES: usize = 8;
    let mut messages = Vec::new();
    let mut buffer = [0; 512];
    while messages.len() < ENTRIES {
        let Ok(length @ 1..) = nix::unistd::read(context.as_raw_fd(), &mut buffer) else { break };
        let message = String::from_utf8_lossy(&buffer[..length]);
        let text = message.trim();
        // Each begins with a letter for error, warning or information.
        messages.push(
            text.split_once(' ')
                .filter(|(kind, _)| kind.len() == 1)
                .map_or(text, |(_, said)| said)
                .to_owned(),
        );
    }
    (!messages.is_empty()).then(|| messages.join("; "))
}

const FSCONFIG_SET_FLAG: u32 = 0;
const FSCONFIG_SET_STRING: u32 = 1;
const FSCONFIG_CMD_CREATE: u32 = 6;

fn configure(context: &OwnedFd, command: u32, key: Option<&str>, value: Option<&str>) -> Result<(), Errno> {
    let c = |s: Option<&str>| s.map(CString::new).transpose().map_err(|_| Errno::EINVAL);
    let (key, value) = (c(key)?, c(value)?);
    let pointer = |s: &Option<CString>| s.as_ref().map_or(std::ptr::null(), |s| s.as_ptr());
    // SAFETY: key and value are C strings that outlive the call, or null where the command takes none.
    let ret = unsafe {
        libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, pointer(&key), pointer(&value), 0)
    };
    super::check(ret).map(drop)
}

/// Opens a path with `O_PATH`, below `root` and never outside it: symbolic links and `..` are resolved as if
/// `root` were `/` (openat2(2), Linux 5.6).
pub fn open_in_root(root: BorrowedFd<'_>, path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    // The first implies the second in every kernel so far. openat2(2) asks callers to set both, since that may
    // change.
    openat2(root, path, flags, ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS)
}

/// Calls openat2(2).
pub fn openat2(
    at: BorrowedFd<'_>,
    path: &Path,
    flags: OFlag,
    resolve: ResolveFlag,
) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
    // A concurrent rename or mount makes the kernel give up with EAGAIN, and it advises to try again.
    for _ in 0..64 {
        match nix::fcntl::openat2(at.as_raw_fd(), path, how) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            other => return other.map(crate::fds::adopt),
        }
    }
    Err(Errno::EAGAIN)
}

fn own(ret: libc::c_long) -> Result<OwnedFd, Errno> {
    let fd = super::check(ret)?;
    // SAFETY: the kernel returned a new descriptor which nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}
