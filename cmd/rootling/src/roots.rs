//! Where state and caches are kept when nobody names a place.

use std::env;
use std::path::PathBuf;

use rootling_rootless::host::Host;
use rootling_runtime::{Result, Store, check_private};

use crate::args::Global;

/// The store of `--root`, else of the caller's runtime directory.
pub(crate) fn store(global: &Global) -> Result<Store> {
    // An empty one is none, as with runc.
    if let Some(root) = global.root.as_ref().filter(|root| !root.as_os_str().is_empty()) {
        return Ok(Store::named(std::path::absolute(root)?));
    }
    let host = Host::probe();
    if !host.is_ordinary_user() && !host.in_user_namespace() {
        return Ok(Store::new("/run/rootling"));
    }
    if let Some(dir) = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|d| d.is_absolute()) {
        return Ok(Store::new(dir.join("rootling")));
    }
    let uid = host.euid();
    let run = PathBuf::from(format!("/run/user/{uid}"));
    if run.is_dir() && check_private(&run).is_ok() {
        return Ok(Store::new(run.join("rootling")));
    }
    // Everybody may make a directory of that name there: it has to be the caller's own.
    let own = PathBuf::from(format!("/tmp/rootling-{uid}"));
    check_private(&own)?;
    Ok(Store::new(own))
}

/// Where compiled seccomp profiles are kept.
pub(crate) fn seccomp_cache() -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|d| d.is_absolute());
    if let Some(dir) = absolute("XDG_CACHE_HOME") {
        return Some(dir.join("rootling/seccomp"));
    }
    if nix::unistd::geteuid().is_root() && !Host::probe().in_user_namespace() {
        return Some("/var/cache/rootling/seccomp".into());
    }
    // The root of podman's user namespace has no home in its environment, but this. Not below the directory of
    // the containers, where it would be taken for one.
    let runtime_dir = || absolute("XDG_RUNTIME_DIR").map(|dir| dir.join("rootling-seccomp"));
    absolute("HOME").map(|home| home.join(".cache/rootling/seccomp")).or_else(runtime_dir)
}
