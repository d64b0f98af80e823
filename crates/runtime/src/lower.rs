//! The spec that is passed to libcontainer: what libcontainer does correctly, and nothing else.
//!
//! The rest is in the [`Blueprint`](rootling_init::blueprint::Blueprint), which rootling carries out itself.
//! docs/libcontainer.md lists each of these parts with its reason.

use std::mem::take;
use std::rc::Rc;

use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType, Spec};
use rootling_config::container::Container;
use rootling_config::namespaces::NamespaceSet;

use crate::error::Result;

/// The root is a private one. The process is never used: we take over before libcontainer's init would execute it. With
/// HOME set, libcontainer does not query the name service for it.
const FIXED: &str = r#"{
    "ociVersion": "1.0.0",
    "root": {"path": "/", "readonly": false},
    "process": {"user": {"uid": 0, "gid": 0}, "args": ["/"], "env": ["HOME=/"], "cwd": "/"},
    "linux": {}
}"#;

/// Moves out of the container what libcontainer is to do: sysctls, network devices and the AppArmor profile.
pub(crate) fn for_libcontainer(container: &mut Container, apparmor: Option<String>) -> Result<Rc<Spec>> {
    let mut spec: Spec = serde_json::from_str(FIXED)?;
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

/// All namespaces have been made or joined before libcontainer gets them. Without a mount namespace it uses chroot(2) to enter
/// its root, which is below the private root, and the one pivot_root(2) at the end removes both. Each is followed by a
/// umount2(2) that waits for the kernel (a grace period of RCU), which takes a twentieth of a run.
///
/// libcontainer does not join a user namespace again. It must know that there is one, or else it would try to make
/// devices where every id is mapped, because it takes such a namespace for the host's own.
fn remaining_namespaces(namespaces: &NamespaceSet) -> Vec<LinuxNamespace> {
    let entered = |typ, path: &str| {
        let mut namespace = LinuxNamespace::default();
        namespace.set_typ(typ);
        namespace.set_path(Some(path.into()));
        namespace
    };
    let mut remaining = Vec::new();
    if namespaces.user.is_set() {
        remaining.push(entered(LinuxNamespaceType::User, "/proc/self/ns/user"));
    }
    remaining
}

#[cfg(test)]
#[path = "lower_tests.rs"]
mod tests;
