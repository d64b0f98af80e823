//! Rejects a NUL byte in strings that are passed to system calls, where it would cut them short. Mounts, devices and
//! the program's arguments are checked together with their other rules.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use oci_spec::runtime::{Hook, Linux, Process, Spec};

use crate::error::{ValidateError, invalid, quoted};

/// A path with a NUL byte would be cut short in the system call.
pub(super) fn no_nul(field: &str, path: &Path) -> Result<(), ValidateError> {
    if path.as_os_str().as_bytes().contains(&0) { Err(found(field, path)) } else { Ok(()) }
}

/// The error for a NUL byte.
pub(super) fn found(field: &str, path: &Path) -> ValidateError {
    invalid(field, format!("{} contains a NUL byte", quoted(path)), "remove it")
}

pub(super) fn check(spec: &Spec) -> Result<(), ValidateError> {
    text("hostname", spec.hostname().as_deref())?;
    text("domainname", spec.domainname().as_deref())?;
    if let Some(linux) = spec.linux() {
        self::linux(linux)?;
    }
    Ok(())
}

pub(super) fn process(process: &Process) -> Result<(), ValidateError> {
    text("process.apparmorProfile", process.apparmor_profile().as_deref())?;
    text("process.selinuxLabel", process.selinux_label().as_deref())
}

pub(super) fn hook(field: &str, hook: &Hook) -> Result<(), ValidateError> {
    no_nul(&format!("{field}.path"), hook.path())?;
    for (name, list) in [("args", hook.args()), ("env", hook.env())] {
        for (index, entry) in list.iter().flatten().enumerate() {
            text(&format!("{field}.{name}[{index}]"), Some(entry))?;
        }
    }
    Ok(())
}

fn linux(linux: &Linux) -> Result<(), ValidateError> {
    text("linux.mountLabel", linux.mount_label().as_deref())?;
    if let Some(path) = linux.cgroups_path() {
        no_nul("linux.cgroupsPath", path)?;
    }
    for (index, namespace) in linux.namespaces().iter().flatten().enumerate() {
        if let Some(path) = namespace.path() {
            no_nul(&format!("linux.namespaces[{index}].path"), path)?;
        }
    }
    match linux.seccomp().as_ref().and_then(|seccomp| seccomp.listener_path().as_ref()) {
        Some(path) => no_nul("linux.seccomp.listenerPath", path),
        None => Ok(()),
    }
}

fn text(field: &str, text: Option<&str>) -> Result<(), ValidateError> {
    text.map_or(Ok(()), |text| no_nul(field, Path::new(text)))
}
