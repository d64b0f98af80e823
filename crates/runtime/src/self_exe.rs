//! The runtime's own program file, out of reach of the container (CVE-2019-5736).
//!
//! Until execve(2) the container's first process is a copy of the runtime, and `/proc/self/exe` of it
//! leads to our program: whoever may write that file inside the container could replace it on the
//! host. Where an id of the container may, the runtime executes itself again from a sealed copy.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MemFdCreateFlag, memfd_create};

use crate::error::{Context, Result};
use crate::sys;

const NAME: &CStr = c"rootling";

/// Continues from a sealed copy if the program could be written from inside a container of this
/// caller. Returns when there is nothing to be done, and in the copy.
pub fn protect() -> Result<()> {
    let file = File::open("/proc/self/exe").context(|| "open(\"/proc/self/exe\")")?;
    if is_sealed(&file) || !writable_by_container(&file) {
        return Ok(());
    }
    let copy = sealed_copy(&file)?;
    let args: Vec<CString> = std::env::args_os().filter_map(|a| CString::new(a.into_vec()).ok()).collect();
    let env: Vec<CString> = std::env::vars_os()
        .filter_map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            CString::new(name.into_vec()).ok()
        })
        .collect();
    Err(sys::exec::execveat(copy.as_fd(), &args, &env)).context(|| "execute the sealed copy of the runtime")
}

fn is_sealed(file: &File) -> bool {
    use std::os::fd::AsRawFd;
    let seals = fcntl(file.as_raw_fd(), FcntlArg::F_GET_SEALS).unwrap_or(0);
    SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_WRITE)
}

/// Root of the host may write everything. An ordinary user's container maps the caller's own id and
/// ranges that belong to nobody else: only files of those ids can be written from inside, and files
/// that anybody can write.
fn writable_by_container(file: &File) -> bool {
    let me = nix::unistd::geteuid().as_raw();
    if me == 0 {
        return true;
    }
    let Ok(meta) = file.metadata() else { return true };
    let directory = std::fs::read_link("/proc/self/exe").ok().and_then(|p| std::fs::metadata(p.parent()?).ok());
    let exposed = |m: &std::fs::Metadata, sticky_ok: bool| {
        // Ids from subordinate ranges start far above those of accounts; system accounts own programs.
        let foreign = m.uid() != 0 && m.uid() != me;
        let others = m.mode() & 0o022 != 0 && !(sticky_ok && m.mode() & 0o1000 != 0);
        m.uid() == me || foreign || others
    };
    exposed(&meta, false) || directory.is_none_or(|d| exposed(&d, true))
}

fn sealed_copy(file: &File) -> Result<File> {
    let flags = MemFdCreateFlag::MFD_CLOEXEC | MemFdCreateFlag::MFD_ALLOW_SEALING;
    let copy = File::from(memfd_create(NAME, flags).context(|| "memfd_create")?);
    std::io::copy(&mut &*file, &mut &copy).context(|| "copy the runtime")?;
    let seals = SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE;
    use std::os::fd::AsRawFd;
    fcntl(copy.as_raw_fd(), FcntlArg::F_ADD_SEALS(seals)).context(|| "fcntl(F_ADD_SEALS)")?;
    Ok(copy)
}
