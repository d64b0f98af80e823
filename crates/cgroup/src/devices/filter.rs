//! Attaches a device program to a cgroup.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

use super::{Ruleset, program};
use crate::CgroupError;

/// Makes `rules` the only device program on the cgroup `dir`.
///
/// The new program is attached before any old one is detached. All programs of a cgroup must allow an access, so
/// at no moment is more allowed than by the stricter of the two.
///
/// # Errors
/// The caller may not load programs, or the kernel is older than 4.15.
pub(crate) fn install(dir: &Path, rules: &Ruleset) -> Result<(), CgroupError> {
    let error = |source| CgroupError::DeviceProgram { path: dir.to_owned(), source };
    let cgroup = std::fs::File::open(dir).map_err(error)?;
    let old = rootling_sys::bpf::attached_device_programs(cgroup.as_fd()).map_err(error)?;
    let new = load(&program::compile(rules)).map_err(error)?;
    rootling_sys::bpf::attach_device_program(cgroup.as_fd(), new.as_fd()).map_err(error)?;
    for id in old {
        let removed = rootling_sys::bpf::program_by_id(id)
            .and_then(|old| rootling_sys::bpf::detach_device_program(cgroup.as_fd(), old.as_fd()));
        if let Err(e) = removed {
            // It only restricts further, and it may be another program's that a security module guards.
            tracing::debug!(id, "device program stays on {}: {e}", dir.display());
        }
    }
    Ok(())
}

/// Loads a program; kernels before 5.11 charge it to locked memory, so that limit is raised if necessary.
fn load(program: &[u8]) -> io::Result<std::os::fd::OwnedFd> {
    match rootling_sys::bpf::load_device_program(program) {
        Err(e) if is_memlock(&e) => {}
        other => return other,
    }
    let (soft, hard) = getrlimit(Resource::RLIMIT_MEMLOCK)?;
    setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY)?;
    let second = rootling_sys::bpf::load_device_program(program);
    // The container must not inherit the raised limit.
    setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard)?;
    second
}

fn is_memlock(error: &io::Error) -> bool {
    matches!(rootling_sys::errno(error), Some(Errno::EPERM | Errno::ENOMEM))
}
