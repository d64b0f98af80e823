//! `net.ipv4.ping_group_range` names groups of the container, and the kernel refuses a range one end of which is
//! not mapped. Engines set it to all possible groups; icmp(7).

use std::collections::HashMap;

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Spec};

use rootling_config::idmap::covers;

use super::mount_ids::container_maps;
use super::view::is_shared;
use crate::pass::{AdaptError, Pass};

const PING: &str = "net.ipv4.ping_group_range";

pub(crate) fn run(pass: &mut Pass<'_>) -> Result<(), AdaptError> {
    let Some((first, last)) = sysctls(pass.spec).and_then(|all| range(all.get(PING)?)) else { return Ok(()) };
    // A container without a network of its own may not set it at all.
    if is_shared(pass.spec, pass.host, LinuxNamespaceType::Network) {
        return Ok(());
    }
    let Some((_, gids)) = container_maps(pass) else { return Ok(()) };
    // An empty range, with the first above the last, lets nobody use ping; the kernel requires both ends to be
    // mapped even then.
    if covers(&gids, first) && covers(&gids, last) {
        return Ok(());
    }
    let Some((new_first, new_last)) = mapped_part(&gids, first, last) else {
        return Err(AdaptError::PingGroups { first, last });
    };
    if pass.options.strict {
        return Err(AdaptError::PingGroups { first, last });
    }
    let new = format!("{new_first} {new_last}");
    pass.note(
        format!("linux.sysctl: {PING}: narrowed from \"{first} {last}\" to \"{new}\""),
        "the other groups are not mapped in the container, and the kernel takes no range with such an end",
    );
    if let Some(all) = pass.spec.linux_mut().as_mut().and_then(|linux| linux.sysctl_mut().as_mut()) {
        all.insert(PING.into(), new);
    }
    Ok(())
}

fn sysctls(spec: &Spec) -> Option<&HashMap<String, String>> {
    spec.linux().as_ref()?.sysctl().as_ref()
}

/// Parses a range. What is not a range of two numbers is left to the kernel.
fn range(value: &str) -> Option<(u32, u32)> {
    let mut numbers = value.split_whitespace().map(str::parse);
    let range = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    numbers.next().is_none().then_some(range)
}

/// The lowest and the highest mapped group within the range.
fn mapped_part(gids: &[LinuxIdMapping], first: u32, last: u32) -> Option<(u32, u32)> {
    let parts = gids.iter().filter(|row| row.size() > 0).filter_map(|row| {
        let end = row.container_id().saturating_add(row.size() - 1);
        let (low, high) = (row.container_id().max(first), end.min(last));
        (low <= high).then_some((low, high))
    });
    parts.reduce(|all, part| (all.0.min(part.0), all.1.max(part.1)))
}
