//! Supplementary groups if setgroups(2) is denied; `user_namespaces`(7).

use oci_spec::runtime::{LinuxNamespaceType, Spec};

use rootling_config::annotations::{KEEP_GROUPS, keeps_groups};

use rootling_config::namespaces::Namespace;

use super::view::namespace;
use crate::idmap::is_own_id;
use crate::pass::{AdaptError, Pass};

pub(crate) fn run(pass: &mut Pass<'_>) -> Result<(), AdaptError> {
    let Some(user) = pass.spec.process().as_ref().map(oci_spec::runtime::Process::user) else {
        return Ok(());
    };
    let Some(gids) = user.additional_gids().clone().filter(|gids| !gids.is_empty()) else { return Ok(()) };
    if keeps_groups(pass.spec) {
        drop_groups(pass.spec);
        pass.note(
            format!("process.user.additionalGids: dropped {gids:?}"),
            format!("{KEEP_GROUPS} keeps the caller's"),
        );
        return Ok(());
    }
    // A group id that the process has anyway is no loss.
    let lost: Vec<u32> = gids.into_iter().filter(|gid| *gid != user.gid()).collect();
    if !is_denied(pass) {
        return Ok(());
    }
    if !lost.is_empty() {
        if pass.host.is_ordinary_user() || pass.options.strict {
            return Err(AdaptError::AdditionalGroups { gids: lost });
        }
        pass.warn(
            format!("process.user.additionalGids: dropped {lost:?}"),
            "setgroups is denied in this user namespace: map groups with newgidmap to have it allowed",
        );
    }
    drop_groups(pass.spec);
    Ok(())
}

fn drop_groups(spec: &mut Spec) {
    if let Some(process) = spec.process_mut() {
        process.user_mut().set_additional_gids(None);
    }
}

/// Whether setgroups is denied: it is in a new user namespace whose group map an ordinary user writes directly, and
/// in one for which newgidmap(1) maps only the caller's own group. What is denied in the parent namespace is denied
/// inside as well.
fn is_denied(pass: &Pass<'_>) -> bool {
    let maps = pass.spec.linux().as_ref().and_then(|linux| linux.gid_mappings().as_deref());
    let own_alone = namespace(pass.spec, LinuxNamespaceType::User) == Namespace::New
        && pass.host.is_ordinary_user()
        && maps.is_some_and(|maps| is_own_id(maps, pass.host.egid()));
    own_alone || !pass.host.setgroups_allowed()
}
