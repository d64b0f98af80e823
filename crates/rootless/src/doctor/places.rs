//! Directories that must exist and be accessible.

use std::path::{Path, PathBuf};

use rootling_config::remedies::enable_linger;

use super::Check;
use crate::host::{Access, Host, NodeKind};

/// The directory for state. `$XDG_RUNTIME_DIR` is defined by the XDG Base Directory Specification.
pub(super) fn runtime_directory(host: &Host, root: bool) -> Check {
    let check = |found: String| {
        Check::ok(
            "runtime directory",
            found,
            "a directory of the caller's own, gone after a reboot",
            "the state of containers is kept there",
        )
    };
    if root {
        return check("/run/rootling".into());
    }
    let is_own = |dir: &Path| {
        host.node(dir).is_ok_and(|node| node.kind == NodeKind::Directory && node.uid == host.euid())
            && host.may(dir, Access::Write)
    };
    if let Some(dir) = host.variable("XDG_RUNTIME_DIR").filter(|dir| dir.is_absolute()) {
        let shown = format!("XDG_RUNTIME_DIR is {}", dir.display());
        return if is_own(&dir) {
            check(shown)
        } else {
            let fix = format!(
                "mkdir -p -m 0700 {}, or unset XDG_RUNTIME_DIR (su and sudo may leave that of another user)",
                dir.display()
            );
            check(format!("{shown}, which is not a directory that the caller owns and can write")).failed(fix)
        };
    }
    let uid = host.euid();
    let session = PathBuf::from(format!("/run/user/{uid}"));
    if is_own(&session) {
        return check(format!("XDG_RUNTIME_DIR is not set, {} is used", session.display()));
    }
    check(format!("XDG_RUNTIME_DIR is not set, /tmp/rootling-{uid} is used")).warning(format!(
        "with systemd, {}; elsewhere at login: export \
         XDG_RUNTIME_DIR=/tmp/run-{uid}; mkdir -p -m 0700 \"$XDG_RUNTIME_DIR\"",
        enable_linger(&host.account().label())
    ))
}

/// The directories in which a bundle is likely to be.
pub(super) fn directories(host: &Host) -> Option<Check> {
    let place = host.variable("PWD").or_else(|| host.variable("HOME")).filter(|dir| dir.is_absolute())?;
    // Checked as if it contained a root file system.
    let inside = place.join("rootfs");
    let check = |found: String| {
        Check::ok(
            "directories",
            found,
            "each directory above a root file system lets the container's root pass",
            "the container's root opens its root file system; it is the caller, unless the map makes 0 another id",
        )
    };
    if let Some(closed) = host.closed_parent(&inside) {
        let fix = format!("chmod o+x {}, or another place for bundles", closed.display());
        return Some(check(format!("{} does not let the caller pass", closed.display())).warning(fix));
    }
    let private =
        inside.ancestors().skip(1).filter(|dir| host.node(dir).is_ok_and(|node| node.mode & 0o001 == 0));
    Some(check(match private.last() {
        Some(dir) => format!("{} lets the caller pass, and not every other id", dir.display()),
        None => format!("{} and all above let everybody pass", place.display()),
    }))
}
