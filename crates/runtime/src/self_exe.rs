//! Keeps the runtime's own program file out of reach of the container (CVE-2019-5736).
//!
//! Until execve(2) the container's first process is a copy of the runtime, and its `/proc/self/exe` leads to our
//! program: anyone inside the container who may write to that file could replace it on the host. Where an id of the
//! container may write to it, the runtime executes itself again. Root does so from a read-only view of the program's
//! directory, an overlay that nothing else can see and that has no writable layer; whoever may not mount one uses a
//! sealed copy in memory, which takes longer.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::fs::Metadata;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, ResolveFlag, SealFlag, fcntl, open};
use nix::sys::memfd::{MemFdCreateFlag, memfd_create};
use nix::sys::stat::Mode;
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, fstatfs};
use nix::sys::statvfs::{FsFlags, fstatvfs};
use oci_spec::runtime::LinuxIdMapping;

use crate::caller::Caller;
use crate::error::{Context, Error, Result};
use rootling_init::error::Operation;
use rootling_sys as sys;
use rootling_sys::fds::adopt;
use rootling_sys::mount::{attr, new_filesystem, openat2};

const NAME: &CStr = c"rootling";
/// What stat(2) shows for an owner without an id here, unless /proc/sys/kernel/overflowuid differs, in which case the
/// program is copied unnecessarily.
const OVERFLOW_ID: u32 = 65534;

/// The user and group id maps of a container; `None` if no user namespace is made for it.
type Maps<'a> = Option<(&'a [LinuxIdMapping], &'a [LinuxIdMapping])>;

/// Puts the calling program out of reach of its containers (CVE-2019-5736), if it is going to make any.
///
/// Until execve(2), a process that is made for a container is a copy of the calling program, whose file the container
/// finds at `/proc/PID/exe`. If an id of a container may write to that file, or to its directory, this executes the
/// program again with the same arguments and environment: as root from a read-only view of its directory, otherwise
/// from a sealed copy in memory (memfd_create(2)). In the program that is executed again, it returns at once.
///
/// This must be called first in `main`, before anything that must not be done twice.
pub fn seal() -> Result<()> {
    match exposed(None)? {
        Some(file) => execute_sealed(&file),
        None => Ok(()),
    }
}

/// Ensures that the program cannot be written to from inside a container with these ids. A command is executed again
/// from a view or a copy, where this function returns; for any other caller it is an error.
pub(crate) fn protect(maps: Maps<'_>, caller: Caller) -> Result<()> {
    match (exposed(maps)?, caller) {
        (None, _) => Ok(()),
        (Some(file), Caller::Command) => execute_sealed(&file),
        (Some(_), Caller::Program) => Err(Error::system(
            "the container could write to the file of the calling program (CVE-2019-5736): call rootling_runtime::seal first \
             in its main function",
        )),
    }
}

/// Opens the program's file if an id of such a container may write to it.
fn exposed(maps: Maps<'_>) -> Result<Option<File>> {
    let file = File::open("/proc/self/exe").context(|| "open(\"/proc/self/exe\")")?;
    Ok((writable_by_container(&file, maps) && !is_sealed(&file)).then_some(file))
}

/// Executes the program from a view or a copy; returns only an error.
fn execute_sealed(file: &File) -> Result<()> {
    let again = match read_only_view(file) {
        Some(view) => view,
        None => sealed_copy(file)?,
    };
    let args: Vec<CString> = std::env::args_os().filter_map(|a| CString::new(a.into_vec()).ok()).collect();
    let env: Vec<CString> = std::env::vars_os()
        .filter_map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            CString::new(name.into_vec()).ok()
        })
        .collect();
    let refused = sys::exec::Program::new(CString::default(), args, env).execute_file(again.as_fd());
    // A profile that confines the caller may refuse a file without a path.
    Err(refused)
        .context(|| "execute the runtime sealed")
        .map_err(|error: Error| error.during(Operation::Launch))
}

/// Whether this is already the copy or the view. A program on a read-only overlay of the host is neither, but just as
/// safe.
fn is_sealed(file: &File) -> bool {
    let seals = fcntl(file.as_raw_fd(), FcntlArg::F_GET_SEALS).unwrap_or(0);
    SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_WRITE)
        || fstatfs(file).is_ok_and(|fs| fs.filesystem_type() == OVERLAYFS_SUPER_MAGIC)
            && fstatvfs(file).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_RDONLY))
}

/// Opens the program through an overlay without an upper directory. `None` if there can be no such mount: the caller
/// may not make one, or the kernel does not accept this file system as a layer.
fn read_only_view(file: &File) -> Option<File> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let path = std::fs::read_link("/proc/self/exe").ok()?;
    let directory = File::open(path.parent()?).ok()?;
    let other = second_layer(directory.metadata().ok()?.dev())?;
    let layers = format!("lowerdir=/proc/self/fd/{}:{other}", directory.as_raw_fd());
    let view =
        new_filesystem("overlay", "rootling", &[layers], attr::RDONLY | attr::NOSUID | attr::NODEV).ok()?;
    let program =
        openat2(view.as_fd(), Path::new(path.file_name()?), OFlag::O_RDONLY, ResolveFlag::RESOLVE_BENEATH);
    let program = File::from(program.ok()?);
    // A file that has replaced ours meanwhile is not executed.
    let identity = |meta: Metadata| (meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec());
    (identity(program.metadata().ok()?) == identity(file.metadata().ok()?)).then_some(program)
}

/// Without an upper directory an overlay needs at least two layers. Before Linux 6.15 layers are directories of
/// attached mounts, and two of the same file system might overlap, which the kernel refuses. Nothing is ever looked up
/// in the second layer.
fn second_layer(device: u64) -> Option<&'static str> {
    ["/dev", "/run", "/tmp"]
        .into_iter()
        .find(|path| std::fs::metadata(path).is_ok_and(|meta| meta.is_dir() && meta.dev() != device))
}

/// Whether an id of the container may write to the program, or replace it in its directory.
fn writable_by_container(file: &File, maps: Maps<'_>) -> bool {
    let Ok(program) = file.metadata() else { return true };
    let parent = std::fs::read_link("/proc/self/exe").ok().and_then(|p| Some(p.parent()?.to_owned()));
    let directory = parent.as_ref().and_then(|path| std::fs::metadata(path).ok());
    let exposed = |meta: &Metadata, path: &Path, others: u32| {
        let (uids, gids) = maps.unzip();
        // The owner may change the mode.
        (mapped(uids, meta.uid()) && !is_foreign(meta.uid(), path))
            || (meta.mode() & 0o020 != 0 && mapped(gids, meta.gid()))
            || meta.mode() & others == others
    };
    // In a directory with the sticky bit, users may replace only their own files.
    let replaceable =
        |d: Metadata, path: &Path| exposed(&d, path, if d.mode() & 0o1000 != 0 { u32::MAX } else { 0o002 });
    exposed(&program, Path::new("/proc/self/exe"), 0o002)
        || directory.zip(parent.as_deref()).is_none_or(|(d, path)| replaceable(d, path))
}

/// Whether the owner has no id in the caller's user namespace. stat(2) shows such an owner as the overflow id, which
/// may also be an id of the namespace. Root of the namespace, which has CAP_FOWNER over all its ids, may open a file of
/// theirs without updating its access time (`O_NOATIME`, open(2)); if that is refused, the owner has no id in the
/// namespace. Unlike root's permission to write, this is not influenced by a file server or a security module.
fn is_foreign(uid: u32, path: &Path) -> bool {
    let may_all = || caps::has_cap(None, caps::CapSet::Effective, caps::Capability::CAP_FOWNER);
    uid == OVERFLOW_ID
        && nix::unistd::geteuid().is_root()
        && may_all().unwrap_or(false)
        && open(path, OFlag::O_RDONLY | OFlag::O_NOATIME | OFlag::O_CLOEXEC, Mode::empty()).map(adopt).err()
            == Some(Errno::EPERM)
}

/// Whether the container has this id of the caller's user namespace.
fn mapped(maps: Option<&[LinuxIdMapping]>, id: u32) -> bool {
    match maps {
        Some(maps) => {
            maps.iter().any(|m| id.checked_sub(m.host_id()).is_some_and(|offset| offset < m.size()))
        }
        // The caller's own namespace, or a joined one. If the caller is an ordinary user, it cannot have root of the
        // host in it.
        None => id != 0 || nix::unistd::geteuid().is_root(),
    }
}

fn sealed_copy(file: &File) -> Result<File> {
    let flags = MemFdCreateFlag::MFD_CLOEXEC | MemFdCreateFlag::MFD_ALLOW_SEALING;
    let copy = memfd_create(NAME, flags).context(|| "memfd_create").map_err(|error| {
        error.remedy("the container could write to the file of this program, which would be copied to memory: let root own the file")
    })?;
    let copy = File::from(copy);
    let before = sys::process::ignore_file_size_signal();
    let copied = std::io::copy(&mut &*file, &mut &copy);
    sys::process::restore_file_size_signal(before);
    copied.context(|| "copy the runtime")?;
    add_seals(&copy).context(|| "fcntl(F_ADD_SEALS)")?;
    Ok(copy)
}

/// Seals the copy, including the set of seals itself.
///
/// The kernel fails with `EBUSY` while any of the pages might still be written to, and under load its own bookkeeping
/// holds some of them for a moment after the copy.
fn add_seals(copy: &File) -> Result<(), Errno> {
    let seals =
        SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    for _ in 0..100 {
        match fcntl(copy.as_raw_fd(), FcntlArg::F_ADD_SEALS(seals)) {
            Err(Errno::EBUSY) => std::thread::sleep(std::time::Duration::from_millis(10)),
            other => return other.map(drop),
        }
    }
    Err(Errno::EBUSY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_embeds_the_library_is_never_executed_again_without_asking() {
        // The program belongs to the user who runs the test, and an id of a container without a user namespace may
        // write to it.
        let error = protect(None, Caller::Program).unwrap_err();
        assert!(error.to_string().contains("call rootling_runtime::seal first"), "{error}");
    }
}
