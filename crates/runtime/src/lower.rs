//! The spec that libcontainer gets: what it does correctly, and nothing else.
//!
//! The rest is in the [`Blueprint`](rootling_init::blueprint::Blueprint), for rootling's own hands.
//! docs/libcontainer.md lists each of these with its reason.

use std::mem::take;
use std::rc::Rc;

use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType, Spec};
use rootling_config::container::Container;
use rootling_config::namespaces::NamespaceSet;

use crate::error::{Error, Result, chain};

/// Its root is a private one. Its process is never looked at: its init ends in our hands before that. With a HOME, it does
/// not ask the name service for one.
const FIXED: &str = r#"{
    "ociVersion": "1.0.0",
    "root": {"path": "/", "readonly": false},
    "process": {"user": {"uid": 0, "gid": 0}, "args": ["/"], "env": ["HOME=/"], "cwd": "/"},
    "linux": {}
}"#;

/// Takes out of the container what is libcontainer's to do: sysctls, network devices and the AppArmor profile.
pub(crate) fn for_libcontainer(container: &mut Container, apparmor: Option<String>) -> Result<Rc<Spec>> {
    let mut spec: Spec = serde_json::from_str(FIXED).map_err(|e| Error::system(chain(&e)))?;
    if let Some(process) = spec.process_mut() {
        process.set_apparmor_profile(apparmor);
    }
    if let Some(linux) = spec.linux_mut() {
        linux.set_namespaces(Some(remaining_namespaces(&container.namespaces)));
        linux.set_sysctl(Some(take(&mut container.sysctl)).filter(|all| !all.is_empty()));
        linux.set_net_devices(Some(take(&mut container.net_devices)).filter(|all| !all.is_empty()));
    }
    Ok(Rc::new(spec))
}

/// All are made or joined when libcontainer gets them, so it joins the mount namespace that it is in:
/// with none it would use chroot(2) instead of pivot_root(2), and with a new one it would copy all the
/// mounts once more and wait for the kernel to free the first copy.
///
/// A user namespace it does not join again. It has to know of it, or it would try to make devices where
/// every id is mapped, which it takes for the host's own namespace.
fn remaining_namespaces(namespaces: &NamespaceSet) -> Vec<LinuxNamespace> {
    let entered = |typ, path: &str| {
        let mut namespace = LinuxNamespace::default();
        namespace.set_typ(typ);
        namespace.set_path(Some(path.into()));
        namespace
    };
    let mut remaining = Vec::new();
    if namespaces.mount.is_set() {
        remaining.push(entered(LinuxNamespaceType::Mount, "/proc/self/ns/mnt"));
    }
    if namespaces.user.is_set() {
        remaining.push(entered(LinuxNamespaceType::User, "/proc/self/ns/user"));
    }
    remaining
}

#[cfg(test)]
#[path = "lower_tests.rs"]
mod tests;
