//! Id maps, and the ids that the rest of the spec uses.

use oci_spec::runtime::{LinuxIdMapping, Spec};

use super::Process;
use crate::error::{ValidateError, invalid, quoted};
use crate::idmap::{self, IdKind, IdMaps};
use crate::mounts::Mount;
use crate::namespaces::NamespaceSet;

/// The maps of a new user namespace, and the first user and group of any.
pub(super) fn parse(
    spec: &Spec,
    set: &NamespaceSet,
    process: Option<&Process>,
    mounts: &[Mount],
) -> Result<(Option<IdMaps>, (u32, u32)), ValidateError> {
    let linux = spec.linux().as_ref();
    let uid = linux.and_then(|linux| linux.uid_mappings().as_deref()).unwrap_or_default();
    let gid = linux.and_then(|linux| linux.gid_mappings().as_deref()).unwrap_or_default();
    for (kind, maps) in [(IdKind::User, uid), (IdKind::Group, gid)] {
        if maps.is_empty() {
            continue;
        }
        idmap::check(maps, kind)
            .map_err(|error| ValidateError::Idmap { owner: "linux".to_owned(), error })?;
        // A joined namespace has its own maps; these are only what the caller believes them to be.
        if set.user.is_new() {
            process_ids(process, kind, maps)?;
            mount_ids(mounts, kind, maps)?;
        }
    }
    let first = |maps: &[LinuxIdMapping]| maps.iter().map(LinuxIdMapping::container_id).min().unwrap_or(0);
    let first_ids = (first(uid), first(gid));
    if !set.user.is_new() {
        return Ok((None, first_ids));
    }
    Ok((Some(IdMaps::checked(uid.to_vec(), gid.to_vec())), first_ids))
}

fn process_ids(
    process: Option<&Process>,
    kind: IdKind,
    maps: &[LinuxIdMapping],
) -> Result<(), ValidateError> {
    // Root comes first: the runtime itself becomes the container's uid 0 to set it up.
    mapped(maps, kind, 0, "the container's root")?;
    let Some(user) = process.map(|process| process.written.user()) else { return Ok(()) };
    match kind {
        IdKind::User => mapped(maps, kind, user.uid(), "process.user.uid"),
        IdKind::Group => {
            mapped(maps, kind, user.gid(), "process.user.gid")?;
            let additional = user.additional_gids().iter().flatten();
            additional.copied().try_for_each(|gid| mapped(maps, kind, gid, "process.user.additionalGids"))
        }
    }
}

/// File systems take owners as `uid=` and `gid=`, and answer EINVAL if the id is not mapped.
fn mount_ids(mounts: &[Mount], kind: IdKind, maps: &[LinuxIdMapping]) -> Result<(), ValidateError> {
    for (index, mount) in mounts.iter().enumerate() {
        if let Some(id) = mount.options.owner(kind) {
            mapped(maps, kind, id, &format!("mounts[{index}].options of {}", quoted(&mount.destination)))?;
        }
    }
    Ok(())
}

fn mapped(maps: &[LinuxIdMapping], kind: IdKind, id: u32, user: &str) -> Result<(), ValidateError> {
    if idmap::covers(maps, id) {
        return Ok(());
    }
    let problem = format!("no mapping for {kind} {id}, which {user} uses");
    let remedy = format!("map it; an ordinary user needs a range in {} for that", kind.subid_file());
    Err(invalid(format!("linux.{}", kind.field()), problem, remedy))
}
