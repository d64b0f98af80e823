//! An ordinary user cannot do anything without a user namespace, so one is added, with as many ids as this host
//! grants the caller; `user_namespaces`(7).

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Spec};

use rootling_config::namespaces::Namespace;

use super::view::{add_namespace, linux_mut, namespace};
use crate::host::Host;
use crate::idmap::{self, IdmapError, MapOwner, ROOT_IS_NOT_MAPPED, WantedMaps};
use crate::pass::{AdaptError, Pass};
use rootling_config::idmap::IdKind;

pub(crate) fn run(pass: &mut Pass<'_>) -> Result<(), AdaptError> {
    let asked_for = namespace(pass.spec, LinuxNamespaceType::User);
    if matches!(asked_for, Namespace::Path(_)) {
        return Ok(());
    }
    let asked_for = asked_for == Namespace::New;
    // Root of a user namespace can run a container in it, just like root of the host.
    if !asked_for && pass.options.map_owner.as_ref().is_some_and(MapOwner::is_root) {
        pass.warn("id map: nothing is mapped", ROOT_IS_NOT_MAPPED);
    }
    if !asked_for && !pass.host.needs_user_namespace() && map_owner(pass).is_none() {
        return Ok(());
    }
    let missing = [IdKind::User, IdKind::Group].map(|kind| maps(pass.spec, kind).is_empty());
    if missing.contains(&true) {
        fill_in(pass, missing)?;
    }
    if !asked_for {
        add_namespace(pass.spec, LinuxNamespaceType::User);
        let why = if pass.host.is_ordinary_user() {
            "an ordinary user can run a container only in a user namespace"
        } else if pass.host.is_restricted_root() {
            "without CAP_SYS_ADMIN root can run a container only in a user namespace"
        } else {
            "an owner for the id maps was named"
        };
        pass.note("linux.namespaces: added \"user\"", why);
    }
    Ok(())
}

fn maps(spec: &Spec, kind: IdKind) -> &[LinuxIdMapping] {
    let linux = spec.linux().as_ref();
    let maps = linux.and_then(|linux| match kind {
        IdKind::User => linux.uid_mappings().as_deref(),
        IdKind::Group => linux.gid_mappings().as_deref(),
    });
    maps.unwrap_or_default()
}

fn fill_in(pass: &mut Pass<'_>, [uid, gid]: [bool; 2]) -> Result<(), AdaptError> {
    let wanted = wanted_maps(pass)?;
    if let Some(why) = &wanted.only_own {
        check_one_id_suffices(pass.spec, why)?;
    }
    pass.changes.extend(wanted.notes);
    let why = reason(pass.host, map_owner(pass).is_some());
    for (kind, missing, rows) in [(IdKind::User, uid, wanted.maps.uid), (IdKind::Group, gid, wanted.maps.gid)]
    {
        if !missing {
            continue;
        }
        pass.note(format!("linux.{}: set to {}", kind.field(), describe(&rows)), why);
        let linux = linux_mut(pass.spec);
        match kind {
            IdKind::User => linux.set_uid_mappings(Some(rows)),
            IdKind::Group => linux.set_gid_mappings(Some(rows)),
        };
    }
    Ok(())
}

fn map_owner<'a>(pass: &Pass<'a>) -> Option<&'a MapOwner> {
    pass.options.map_owner.as_ref().filter(|owner| !owner.is_root())
}

fn wanted_maps(pass: &Pass<'_>) -> Result<WantedMaps, IdmapError> {
    match map_owner(pass) {
        Some(owner) => idmap::maps_of(pass.host, owner),
        None => idmap::default_maps(pass.host),
    }
}

fn reason(host: &Host, named: bool) -> &'static str {
    match (named, host.is_ordinary_user()) {
        (true, _) => "the subordinate ids of the named owner",
        (false, true) => "the caller as root, then its subordinate ids",
        (false, false) => "all ids of the caller's own user namespace",
    }
}

fn describe(rows: &[LinuxIdMapping]) -> String {
    let rows: Vec<_> =
        rows.iter().map(|row| format!("{}:{}:{}", row.container_id(), row.host_id(), row.size())).collect();
    rows.join(",")
}

fn check_one_id_suffices(spec: &Spec, why: &str) -> Result<(), AdaptError> {
    let Some(user) = spec.process().as_ref().map(oci_spec::runtime::Process::user) else { return Ok(()) };
    for (field, id) in [("process.user.uid", user.uid()), ("process.user.gid", user.gid())] {
        if id != 0 {
            return Err(AdaptError::NeedsMoreIds { field, id, why: why.into() });
        }
    }
    Ok(())
}
