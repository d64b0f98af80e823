//! `uid=` and `gid=` of a mount are ids of the container: the kernel refuses one that is not
//! mapped. Mostly this is the `gid=5` of devpts.

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType};

use rootling_config::namespaces::Namespace;

use super::view::{destination, is_bind, mounts, namespace, options};
use crate::adaptation::Adaptation;
use crate::pass::{AdaptError, Pass};
use rootling_config::idmap::IdKind;

pub(crate) fn run(pass: &mut Pass<'_>) -> Result<(), AdaptError> {
    let has_id = |option: &String| id_of(option).is_some();
    if !mounts(pass.spec).iter().any(|mount| !is_bind(mount) && options(mount).iter().any(has_id)) {
        return Ok(());
    }
    let Some((uids, gids)) = container_maps(pass) else { return Ok(()) };
    for mount in pass.spec.mounts_mut().iter_mut().flatten().filter(|mount| !is_bind(mount)) {
        let at = destination(mount);
        let Some(all) = mount.options_mut() else { continue };
        all.retain(|option| {
            let Some((kind, id)) = id_of(option) else { return true };
            let maps = if kind == IdKind::User { &uids } else { &gids };
            let mapped =
                maps.iter().any(|row| id >= row.container_id() && id - row.container_id() < row.size());
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

fn id_of(option: &str) -> Option<(IdKind, u32)> {
    let (kind, value) = match option.split_once('=')? {
        ("uid", value) => (IdKind::User, value),
        ("gid", value) => (IdKind::Group, value),
        _ => return None,
    };
    // A value that is no number is for the file system to judge.
    Some((kind, value.parse().ok()?))
}

/// The maps in force inside, unless they are those of a namespace that is joined and not known.
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
