//! Where state and caches are kept if nobody names a directory.

use std::env;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rootling_rootless::host::Host;
use rootling_runtime::{Result, Store};

use crate::global::Global;

/// The input of every command.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The global options.
    pub global: &'a Global,
    /// What is known about the machine and the caller.
    pub host: &'a Host,
}

impl Context<'_> {
    /// The store in the directory of `--root`, or else in the caller's runtime directory.
    pub fn store(self) -> Result<Store> {
        store(self.global, self.host)
    }
}

fn store(global: &Global, host: &Host) -> Result<Store> {
    // An empty value is treated as absent, as in runc.
    if let Some(root) = global.root.as_ref().filter(|root| !root.as_os_str().is_empty()) {
        return Ok(Store::named(std::path::absolute(root)?));
    }
    if !host.is_ordinary_user() && !host.in_user_namespace() {
        return Ok(Store::own("/run/rootling"));
    }
    if let Some(dir) = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|d| d.is_absolute()) {
        return Ok(Store::below(dir));
    }
    let uid = host.euid();
    let session = PathBuf::from(format!("/run/user/{uid}"));
    if is_own(&session, uid) {
        return Ok(Store::below(session));
    }
    // Anybody may make a directory with that name there.
    Ok(Store::own(format!("/tmp/rootling-{uid}")))
}

/// Whether a session's directory exists and belongs to this user.
fn is_own(dir: &Path, uid: u32) -> bool {
    std::fs::symlink_metadata(dir).is_ok_and(|found| found.is_dir() && found.uid() == uid)
}

/// The directory in which compiled seccomp profiles are kept.
pub fn seccomp_cache(host: &Host) -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|d| d.is_absolute());
    if let Some(dir) = absolute("XDG_CACHE_HOME") {
        return Some(dir.join("rootling/seccomp"));
    }
    if !host.is_ordinary_user() && !host.in_user_namespace() {
        return Some("/var/cache/rootling/seccomp".into());
    }
    // Root of podman's user namespace has no HOME in its environment, but has this variable. The directory must
    // not be below that of the containers, where it would be taken for a container.
    let runtime_dir = || absolute("XDG_RUNTIME_DIR").map(|dir| dir.join("rootling-seccomp"));
    absolute("HOME").map(|home| home.join(".cache/rootling/seccomp")).or_else(runtime_dir)
}
