//! `uid=` and `gid=` of a mount are ids of the container, and the kernel refuses one that is not mapped. Usually
//! this is the `gid=5` of devpts.

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType};

use rootling_config::idmap::{IdKind, covers};
use rootling_config::mounts::{is_bind, owner};
use rootling_config::namespaces::Namespace;

use super::view::{destination, mounts, namespace, options};
use crate::adaptation::Adaptation;
use crate::pass::{AdaptError, Pass};

pub(crate) fn run(pass: &mut Pass<'_>) -> Result<(), AdaptError> {
    let has_id = |option: &String| owner(option).is_some();
    if !mounts(pass.spec).iter().any(|mount| !is_bind(mount) && options(mount).iter().any(has_id)) {
        return Ok(());
    }
    let Some((uids, gids)) = container_maps(pass) else { return Ok(()) };
    for mount in pass.spec.mounts_mut().iter_mut().flatten().filter(|mount| !is_bind(mount)) {
        let at = destination(mount);
        let Some(all) = mount.options_mut() else { continue };
        all.retain(|option| {
            let Some((kind, id)) = owner(option) else { return true };
            let maps = if kind == IdKind::User { &uids } else { &gids };
            let mapped = covers(maps, id);
            if !mapped {
                pass.changes.push(Adaptation::note(
                    format!("mounts: {}: dropped option \"{option}\"", at.display()),
                    format!("{kind} {id} is not mapped in the container"),
                ));
            }
            mapped
        });
    }
    Ok(())
}

/// The maps in force inside the container; `None` if a namespace is joined and its maps are unknown.
pub(super) fn container_maps(pass: &Pass<'_>) -> Option<(Vec<LinuxIdMapping>, Vec<LinuxIdMapping>)> {
    match namespace(pass.spec, LinuxNamespaceType::User) {
        Namespace::Path(_) => None,
        Namespace::None => Some((pass.host.uid_map().to_vec(), pass.host.gid_map().to_vec())),
        Namespace::New => {
            let linux = pass.spec.linux().as_ref()?;
            Some((linux.uid_mappings().clone()?, linux.gid_mappings().clone()?))
        }
    }
}
