//! Id maps, and the ids that the rest of the spec uses.

use oci_spec::runtime::{LinuxIdMapping, Spec};

use crate::error::{ValidateError, invalid, quoted};
use crate::idmap::{self, IdKind};
use crate::mounts;
use crate::namespaces::NamespaceSet;

pub(super) fn check(spec: &Spec, set: &NamespaceSet) -> Result<(), ValidateError> {
    let Some(linux) = spec.linux() else { return Ok(()) };
    for (kind, maps) in [(IdKind::User, linux.uid_mappings()), (IdKind::Group, linux.gid_mappings())] {
        let Some(maps) = maps.as_deref().filter(|maps| !maps.is_empty()) else { continue };
        idmap::check(maps, kind)
            .map_err(|error| ValidateError::Idmap { owner: "linux".to_owned(), error })?;
        // Joining a namespace brings its own maps; these are only what the caller believes them to be.
        if set.user.is_new() {
            process_ids(spec, kind, maps)?;
            mount_ids(spec, kind, maps)?;
        }
    }
    Ok(())
}

fn process_ids(spec: &Spec, kind: IdKind, maps: &[LinuxIdMapping]) -> Result<(), ValidateError> {
    // Root comes first: the runtime itself becomes the container's 0 to set the container up.
    mapped(maps, kind, 0, "the container's root")?;
    let Some(user) = spec.process().as_ref().map(oci_spec::runtime::Process::user) else { return Ok(()) };
    match kind {
        IdKind::User => mapped(maps, kind, user.uid(), "process.user.uid"),
        IdKind::Group => {
            mapped(maps, kind, user.gid(), "process.user.gid")?;
            let additional = user.additional_gids().iter().flatten();
            additional.copied().try_for_each(|gid| mapped(maps, kind, gid, "process.user.additionalGids"))
        }
    }
}

/// Filesystems take owners as `uid=` and `gid=` and answer EINVAL when the id has no name outside.
fn mount_ids(spec: &Spec, kind: IdKind, maps: &[LinuxIdMapping]) -> Result<(), ValidateError> {
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        let Ok(options) = mounts::parse(mount) else { continue };
        let id = options.data_value(&kind.to_string()).and_then(|value| value.parse().ok());
        if let Some(id) = id {
            mapped(maps, kind, id, &format!("mounts[{index}].options of {}", quoted(mount.destination())))?;
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
