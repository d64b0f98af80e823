//! Shared memory and message queues of the host's ipc namespace can only be bind-mounted; `ipc_namespaces`(7).

use std::path::Path;

use oci_spec::runtime::{LinuxNamespaceType, Mount};

use rootling_config::mounts::is_bind;

use super::host_pid::BIND;
use super::view::{destination, has_type, is_shared, mounts, turn_into_bind};
use crate::adaptation::Adaptation;
use crate::pass::{AdaptError, Pass};

/// The source of a tmpfs that replaces an mqueue.
const STAND_IN: &str = "mqueue";

const WHY: &str = "the container shares the host's ipc namespace, over which the caller has no rights";

pub(crate) fn run(pass: &mut Pass<'_>) -> Result<(), AdaptError> {
    if !mounts(pass.spec).iter().any(|mount| source_of(mount).is_some())
        || !is_shared(pass.spec, pass.host, LinuxNamespaceType::Ipc)
    {
        return Ok(());
    }
    for mount in pass.spec.mounts_mut().iter_mut().flatten() {
        let Some(source) = source_of(mount) else { continue };
        let at = destination(mount);
        if pass.host.node(Path::new(source)).is_ok() {
            turn_into_bind(mount, source, &BIND);
            let what = format!("mounts: {}: replaced by a bind of the host's {source}", at.display());
            pass.changes.push(Adaptation::note(what, WHY));
        } else if has_type(mount, "mqueue") {
            // Message queues work without their file system; they just cannot be examined by path.
            mount.set_typ(Some("tmpfs".into())).set_source(Some(STAND_IN.into()));
            let what = format!("mounts: mqueue on {}: replaced by an empty tmpfs", at.display());
            let why = format!("{WHY}, and the host has no {source} to bind");
            pass.changes.push(Adaptation::warning(what, why));
        }
    }
    Ok(())
}

/// The host's directory to bind-mount for this mount, if it is one of the two in question.
fn source_of(mount: &Mount) -> Option<&'static str> {
    if is_bind(mount) {
        return None;
    }
    if has_type(mount, "mqueue") {
        return Some("/dev/mqueue");
    }
    let is_stand_in = mount.source().as_deref() == Some(Path::new(STAND_IN));
    let is_shm = has_type(mount, "tmpfs") && destination(mount) == Path::new("/dev/shm");
    (is_shm && !is_stand_in).then_some("/dev/shm")
}
