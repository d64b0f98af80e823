//! `mounts` and `linux.rootfsPropagation`.

use oci_spec::runtime::{self, Spec};

use crate::error::{ValidateError, invalid, quoted};
use crate::idmap::{IdKind, IdMaps};
use crate::mounts::{self, Idmap, IdmapKind, Mount, MountOptions, Propagation};
use crate::namespaces::NamespaceSet;

pub(super) fn parse(listed: Vec<runtime::Mount>, set: &NamespaceSet) -> Result<Vec<Mount>, ValidateError> {
    listed.into_iter().enumerate().map(|(index, mount)| parse_one(index, mount, set)).collect()
}

fn parse_one(index: usize, mut mount: runtime::Mount, set: &NamespaceSet) -> Result<Mount, ValidateError> {
    let options = MountOptions::of(&mount);
    let kind = mounts::kind(&mount, &options).map_err(|error| ValidateError::Mount { index, error })?;
    let idmap = match options.idmap {
        Some(kind) => Some(Idmap {
            recursive: kind == IdmapKind::Recursive,
            maps: own_maps(index, &mut mount, &options, set)?,
        }),
        None => None,
    };
    Ok(Mount { destination: mount.destination().clone(), kind, options, idmap })
}

/// runc's warning for a destination that the specification requires to be absolute, and warnings for options without
/// effect.
pub(super) fn warn(spec: &Spec, warnings: &mut Vec<String>) {
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        for option in mounts::without_effect(mount) {
            warnings.push(format!(
                "mounts[{index}]: {}: {option:?} is ignored: a bind mount has no options of a file system",
                mount.destination().display()
            ));
        }
        if !mount.destination().is_absolute() {
            warnings.push(format!(
                "mounts[{index}]: mount destination {} is not absolute: relative destination path is deprecated, \
                 using it as relative to /",
                mount.destination().display()
            ));
        }
    }
}

/// The maps of an id-mapped mount; `None` if it uses those of the container.
fn own_maps(
    index: usize,
    mount: &mut runtime::Mount,
    options: &MountOptions,
    set: &NamespaceSet,
) -> Result<Option<IdMaps>, ValidateError> {
    let field = format!("mounts[{index}]");
    let at = quoted(mount.destination());
    if options.bind.is_none() {
        let problem = format!("{at}: id-mapped mounts are only supported for bind-mounts");
        return Err(invalid(field, problem, "add the option bind, or remove the mapping"));
    }
    let uid = mount.uid_mappings_mut().take().unwrap_or_default();
    let gid = mount.gid_mappings_mut().take().unwrap_or_default();
    if uid.is_empty() && gid.is_empty() {
        if set.user.is_set() {
            return Ok(None);
        }
        let problem = format!("{at}: id-mapped without mappings of its own and without a user namespace");
        return Err(invalid(field, problem, "add uidMappings and gidMappings to the mount"));
    }
    for (kind, maps) in [(IdKind::User, &uid), (IdKind::Group, &gid)] {
        if maps.is_empty() {
            let problem = format!("{at}: id-mapped mounts must have both uid and gid mappings specified");
            return Err(invalid(field, problem, format!("add {} to the mount", kind.field())));
        }
    }
    IdMaps::new(uid, gid).map(Some).map_err(|error| ValidateError::Idmap { owner: field, error })
}

pub(super) fn root_propagation(spec: &Spec) -> Result<Option<Propagation>, ValidateError> {
    let wanted = spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().as_deref());
    let Some(word) = wanted.filter(|word| !word.is_empty()) else { return Ok(None) };
    mounts::propagation(word).map(Some).ok_or_else(|| {
        invalid(
            "linux.rootfsPropagation",
            format!("rootfsPropagation={word} is not supported"),
            "use private, slave, shared, unbindable or one of them with an r in front",
        )
    })
}
