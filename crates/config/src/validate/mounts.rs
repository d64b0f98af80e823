//! `mounts` and `linux.rootfsPropagation`.

use oci_spec::runtime::{Mount, Spec};

use crate::error::{ValidateError, invalid, quoted};
use crate::idmap::{self, IdKind};
use crate::mounts::{self, MountOptions};
use crate::namespaces::NamespaceSet;

pub(super) fn check(spec: &Spec, set: &NamespaceSet) -> Result<(), ValidateError> {
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        let options = mounts::parse(mount).map_err(|error| ValidateError::Mount { index, error })?;
        if options.idmap.is_some() {
            id_mapped(index, mount, &options, set)?;
        }
    }
    root_propagation(spec)
}

/// runc's warning for a destination that the specification wants absolute, and options that do nothing.
pub(super) fn warn(spec: &Spec, warnings: &mut Vec<String>) {
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        // What has no value is an error there, if it is not known.
        let has_values = mount.options().iter().flatten().any(|option| option.contains('='));
        let options =
            if has_values { mounts::parse(mount).unwrap_or_default() } else { MountOptions::default() };
        for option in mounts::without_effect(&options) {
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

fn id_mapped(
    index: usize,
    mount: &Mount,
    options: &MountOptions,
    set: &NamespaceSet,
) -> Result<(), ValidateError> {
    let field = format!("mounts[{index}]");
    let at = quoted(mount.destination());
    if options.bind.is_none() {
        let problem = format!("{at}: id-mapped mounts are only supported for bind-mounts");
        return Err(invalid(field, problem, "add the option bind, or remove the mapping"));
    }
    let maps = [(IdKind::User, mount.uid_mappings()), (IdKind::Group, mount.gid_mappings())];
    let own = maps.map(|(kind, maps)| (kind, maps.as_deref().unwrap_or_default()));
    if own.iter().all(|(_, maps)| maps.is_empty()) {
        if set.user.is_set() {
            return Ok(());
        }
        let problem = format!("{at}: id-mapped without mappings of its own and without a user namespace");
        return Err(invalid(field, problem, "add uidMappings and gidMappings to the mount"));
    }
    for (kind, maps) in own {
        if maps.is_empty() {
            let problem = format!("{at}: id-mapped mounts must have both uid and gid mappings specified");
            return Err(invalid(field, problem, format!("add {} to the mount", kind.field())));
        }
        idmap::check(maps, kind).map_err(|error| ValidateError::Idmap { owner: field.clone(), error })?;
    }
    Ok(())
}

fn root_propagation(spec: &Spec) -> Result<(), ValidateError> {
    let wanted = spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().as_deref());
    match wanted {
        None | Some("") => Ok(()),
        Some(word) if mounts::propagation(word).is_some() => Ok(()),
        Some(word) => Err(invalid(
            "linux.rootfsPropagation",
            format!("rootfsPropagation={word} is not supported"),
            "use private, slave, shared, unbindable or one of them with an r in front",
        )),
    }
}
