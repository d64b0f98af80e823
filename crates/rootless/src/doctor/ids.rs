//! The ids that are available for containers; subuid(5), newuidmap(1).

use super::{Check, Distribution};
use crate::host::{Host, IdHelper};
use rootling_config::idmap::IdKind;

/// Images have files with ids up to 65534, "nobody".
const ENOUGH: u64 = 65536;

const WHY: &str =
    "containers with users other than root need them; without, the caller is the only user inside";

pub(super) fn subordinate(host: &Host, distribution: &Distribution) -> Vec<Check> {
    [IdKind::User, IdKind::Group].into_iter().map(|kind| of_kind(host, distribution, kind)).collect()
}

fn of_kind(host: &Host, distribution: &Distribution, kind: IdKind) -> Check {
    let account = host.account();
    let label = account.label();
    let file = kind.subid_file();
    let given = host.sub_ids(kind, account);
    let room = host.range_to_add(kind, &given);
    let mut ranges = given.ranges;
    let mut source = file;
    if ranges.is_empty() {
        ranges = host.directory_sub_ids(kind, account);
        source = "getsubids";
    }
    let add = || match room {
        Some(range) => distribution.family.add_range(&label, kind, range.start, range.count),
        None => "start the outer container with more ids than the caller's".into(),
    };
    let check = |found: String| Check::ok(file, found, "65536 ids for the caller", WHY);
    let own = match kind {
        IdKind::User => host.euid(),
        IdKind::Group => host.egid(),
    };
    if let Some(range) = ranges.iter().find(|range| range.contains(own)) {
        let found = format!("{}:{} contains the caller's own {} {own}", range.start, range.count, kind);
        return check(found).failed(format!("as root: remove that line from {file}; then, {}", add()));
    }
    let count: u64 = ranges.iter().map(|range| u64::from(range.count)).sum();
    if count == 0 {
        return check(format!("none for {label}")).warning(add());
    }
    let shown: Vec<_> = ranges.iter().map(|range| format!("{}:{}", range.start, range.count)).collect();
    let check = check(format!("{count} ids by {source}: {}", shown.join(", ")));
    if count < ENOUGH { check.warning(add()) } else { check }
}

pub(super) fn helpers(host: &Host, distribution: &Distribution) -> Vec<Check> {
    [IdKind::User, IdKind::Group].into_iter().map(|kind| helper(host, distribution, kind)).collect()
}

fn helper(host: &Host, distribution: &Distribution, kind: IdKind) -> Check {
    let name = kind.helper();
    let check = |found: String| {
        Check::ok(
            name,
            found,
            "installed, with the right to map ids",
            "it alone may write a map of more than one id",
        )
    };
    let at = |path: &std::path::Path| path.display().to_string();
    match host.id_helper(kind) {
        IdHelper::Usable(path) => check(at(path)),
        IdHelper::Unusable(fault) => check(fault.describe(kind)).warning(distribution.mend(kind, fault)),
    }
}

/// The check for root of a user namespace: the ids that it can pass on.
pub(super) fn of_namespace(host: &Host) -> Check {
    let count = |map: &[oci_spec::runtime::LinuxIdMapping]| -> u64 {
        map.iter().map(|row| u64::from(row.size())).sum()
    };
    let (uids, gids) = (count(host.uid_map()), count(host.gid_map()));
    let check = Check::ok(
        "ids",
        format!("{uids} users and {gids} groups in this user namespace"),
        "65536 of both",
        WHY,
    );
    if uids.min(gids) < ENOUGH {
        return check.warning(
            "make the outer namespace with more ids: `unshare --map-auto`, or ranges in /etc/subuid for the outer container",
        );
    }
    check
}
