//! Who can write the id maps of a new user namespace.

use std::path::PathBuf;

use oci_spec::runtime::LinuxIdMapping;

use super::{IdmapError, is_own_id};
use crate::distribution::Distribution;
use crate::host::{Host, IdHelper, SubIdRange};
use rootling_config::idmap::{IdKind, IdMaps};

/// How maps are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MapWriter {
    /// By writing `/proc/PID/uid_map` and `gid_map`. See [`must_deny_setgroups`] for what has to be done first.
    Direct,
    /// By running newuidmap(1) and newgidmap(1), which may run at the same time. newgidmap denies setgroups(2)
    /// itself if that is necessary.
    Helper {
        /// Writes the user id map.
        newuidmap: PathBuf,
        /// Writes the group id map.
        newgidmap: PathBuf,
    },
}

const CAP_SETGID: u8 = 6;
const CAP_SETUID: u8 = 7;
const CAP_SETFCAP: u8 = 31;

/// Chooses who writes these maps. Maps of just the caller's own user and group need only two facts about the
/// caller. Any others are checked against /etc/subuid and /etc/subgid, so that the error can name the line to add.
///
/// # Errors
/// [`IdmapError::Helper`] if newuidmap or newgidmap cannot be used, [`IdmapError::NotOurs`] if it would refuse, and
/// [`IdmapError::RootNeedsSetfcap`].
pub fn writer(host: &Host, maps: &IdMaps) -> Result<MapWriter, IdmapError> {
    let (uid, gid) = (maps.uid(), maps.gid());
    if uid.iter().any(|row| row.host_id() == 0) && !host.is_ordinary_user() {
        need_setfcap(host)?;
    }
    if (is_own_id(uid, host.euid()) && is_own_id(gid, host.egid())) || may_map_anything(host) {
        return Ok(MapWriter::Direct);
    }
    let helper =
        MapWriter::Helper { newuidmap: usable(host, IdKind::User)?, newgidmap: usable(host, IdKind::Group)? };
    check_ranges(host, IdKind::User, uid)?;
    check_ranges(host, IdKind::Group, gid)?;
    Ok(helper)
}

/// Whether `deny` must be written to `/proc/PID/setgroups` before the group map: otherwise an unprivileged group
/// map is refused (`user_namespaces`(7), CVE-2014-8989). setgroups(2) then fails in the container.
pub fn must_deny_setgroups(host: &Host, writer: &MapWriter) -> bool {
    *writer == MapWriter::Direct && !host.has_capability(CAP_SETGID)
}

/// Whether the caller may write any map itself, as far as its own user namespace has the ids.
pub(super) fn may_map_anything(host: &Host) -> bool {
    host.has_capability(CAP_SETUID) && host.has_capability(CAP_SETGID)
}

/// Requires CAP_SETFCAP for mapping the outer id 0 since Linux 5.12: without that rule, a process could give its
/// files capabilities that count outside its namespace.
fn need_setfcap(host: &Host) -> Result<(), IdmapError> {
    if host.has_capability(CAP_SETFCAP) || !host.kernel_at_least(5, 12) {
        return Ok(());
    }
    Err(IdmapError::RootNeedsSetfcap { kind: IdKind::User })
}

fn usable(host: &Host, kind: IdKind) -> Result<PathBuf, IdmapError> {
    match host.id_helper(kind) {
        IdHelper::Usable(path) => Ok(path.clone()),
        IdHelper::Unusable(fault) => {
            let remedy = Distribution::of(host).mend(kind, fault);
            Err(IdmapError::Helper { kind, own: own_id(host, kind), fault: fault.clone(), remedy })
        }
    }
}

fn own_id(host: &Host, kind: IdKind) -> u32 {
    match kind {
        IdKind::User => host.euid(),
        IdKind::Group => host.egid(),
    }
}

fn check_ranges(host: &Host, kind: IdKind, maps: &[LinuxIdMapping]) -> Result<(), IdmapError> {
    let mut allowed: Option<Vec<SubIdRange>> = None;
    for row in maps.iter().filter(|row| row.size() > 0) {
        if row.size() == 1 && row.host_id() == own_id(host, kind) {
            continue;
        }
        let ranges = allowed.get_or_insert_with(|| host.sub_ids(kind, host.account()).ranges);
        if covers(ranges, row.host_id(), row.size()) {
            continue;
        }
        // The helper queries the directory service itself, and has the last word.
        if host.has_subid_directory() {
            return Ok(());
        }
        let (first, last) = (row.host_id(), row.host_id().saturating_add(row.size() - 1));
        return Err(IdmapError::NotOurs { kind, owner: host.account().label(), first, last });
    }
    Ok(())
}

/// Whether the ranges cover these ids. Adjacent ranges count as one, as in newuidmap(1).
fn covers(ranges: &[SubIdRange], first: u32, count: u32) -> bool {
    let end = u64::from(first) + u64::from(count);
    let mut next = u64::from(first);
    while next < end {
        let holds = |range: &&SubIdRange| u32::try_from(next).is_ok_and(|id| range.contains(id));
        let Some(range) = ranges.iter().find(holds) else { return false };
        next = u64::from(range.start) + u64::from(range.count);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Fixture;
    use rootling_config::idmap::mapping;

    fn alice() -> Fixture {
        Fixture::ordinary(1000)
            .file("/etc/passwd", "alice:x:1000:1000::/:/bin/sh\n")
            .file("/etc/subuid", "alice:100000:65536\n")
            .file("/etc/subgid", "alice:200000:65536\n")
    }

    type Both = (Vec<LinuxIdMapping>, Vec<LinuxIdMapping>);

    fn full() -> Both {
        (
            vec![mapping(0, 1000, 1), mapping(1, 100_000, 65536)],
            vec![mapping(0, 1000, 1), mapping(1, 200_000, 65536)],
        )
    }

    fn choose(machine: Fixture, maps: &Both) -> Result<MapWriter, String> {
        let maps = IdMaps::new(maps.0.clone(), maps.1.clone()).expect("maps");
        writer(&Host::on(machine), &maps).map_err(|error| error.to_string())
    }

    fn helper() -> MapWriter {
        MapWriter::Helper { newuidmap: "/usr/bin/newuidmap".into(), newgidmap: "/usr/bin/newgidmap".into() }
    }

    #[test]
    fn the_own_ids_are_written_directly_after_looking_at_nothing_else() {
        for container in [0, 1000] {
            let machine = Fixture::ordinary(1000);
            let looks = machine.looks();
            let maps = (vec![mapping(container, 1000, 1)], vec![mapping(container, 1000, 1)]);
            assert_eq!(choose(machine, &maps), Ok(MapWriter::Direct));
            assert_eq!(*looks.borrow(), ["euid", "egid"]);
        }
    }

    #[test]
    fn more_ids_take_the_helpers_or_the_capabilities() {
        let setuid_and_setgid = 1 << 6 | 1 << 7;
        assert_eq!(choose(alice().id_helpers(), &full()), Ok(helper()));
        assert_eq!(choose(alice().capabilities(setuid_and_setgid), &full()), Ok(MapWriter::Direct));
        assert_eq!(choose(alice().id_helpers().capabilities(1 << 7), &full()), Ok(helper()));
        assert_eq!(choose(Fixture::ordinary(0), &full()), Ok(MapWriter::Direct));
        assert_eq!(choose(Fixture::root_in_user_namespace(1000), &full()), Ok(MapWriter::Direct));
    }

    #[test]
    fn another_users_single_id_is_not_our_own() {
        let maps = (vec![mapping(0, 1001, 1)], vec![mapping(0, 1000, 1)]);
        let error = choose(alice().id_helpers(), &maps).unwrap_err();
        assert_eq!(
            error,
            "linux.uidMappings: host ids 1001 to 1001 are not all given to \"alice\" by /etc/subuid: map only \
             ids that are, or as root add the line \"alice:1001:1\" to it"
        );
    }

    #[test]
    fn ranges_side_by_side_hold_a_row_together() {
        let ranges = [(300, 10), (100, 10), (110, 10)].map(|(start, count)| SubIdRange { start, count });
        for (first, count, wanted) in
            [(100, 20, true), (105, 10, true), (100, 21, false), (99, 2, false), (300, 10, true)]
        {
            assert_eq!(covers(&ranges, first, count), wanted, "{first} {count}");
        }
    }

    #[test]
    fn every_failure_names_field_and_remedy() {
        let gid_outside = (full().0, vec![mapping(0, 1000, 1), mapping(1, 200_000, 65537)]);
        let missing = "linux.uidMappings: more than the caller's own id 1000 is to be mapped, but newuidmap is not \
                       installed: install the package that has newuidmap";
        for (machine, maps, wanted) in [
            (alice(), full(), missing),
            (
                alice().id_helpers().program("/usr/bin/newgidmap", 0o755),
                full(),
                "linux.gidMappings: more than the caller's own id 1000 is to be mapped, but /usr/bin/newgidmap has",
            ),
            (alice().id_helpers(), gid_outside, "linux.gidMappings: host ids 200000 to 265536 are not all"),
            (
                Fixture::ordinary(0).capabilities(1 << 6 | 1 << 7),
                (vec![mapping(0, 0, 65536)], vec![mapping(0, 0, 65536)]),
                "linux.uidMappings: host id 0 cannot be mapped without CAP_SETFCAP",
            ),
        ] {
            let error = choose(machine, &maps).unwrap_err();
            assert!(error.starts_with(wanted), "{error}");
            assert!(!error.contains('\n'));
        }
    }

    #[test]
    fn an_older_kernel_maps_0_without_setfcap() {
        let machine = Fixture::ordinary(0).capabilities(1 << 6 | 1 << 7).kernel("5.10.0");
        let maps = (vec![mapping(0, 0, 65536)], vec![mapping(0, 0, 65536)]);
        assert_eq!(choose(machine, &maps), Ok(MapWriter::Direct));
    }

    #[test]
    fn with_a_directory_service_the_helper_decides() {
        let machine = alice().id_helpers().file("/etc/nsswitch.conf", "subid: sss\n");
        let maps = (vec![mapping(0, 700_000, 10)], full().1);
        assert_eq!(choose(machine, &maps), Ok(helper()));
    }

    #[test]
    fn setgroups_is_denied_only_where_the_kernel_demands_it() {
        let setgid = 1 << 6;
        for (machine, writer, wanted) in [
            (Fixture::ordinary(1000), MapWriter::Direct, true),
            (Fixture::ordinary(1000).capabilities(setgid), MapWriter::Direct, false),
            (Fixture::ordinary(0), MapWriter::Direct, false),
            (Fixture::ordinary(1000), helper(), false),
        ] {
            assert_eq!(must_deny_setgroups(&Host::on(machine), &writer), wanted);
        }
    }
}
