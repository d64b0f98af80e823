//! The maps of a container whose spec has none.

use oci_spec::runtime::LinuxIdMapping;

use rootling_config::idmap::mapping;

use super::{IdmapError, MapOwner, Maps};
use crate::adaptation::Adaptation;
use crate::distribution::Distribution;
use crate::host::{Account, Host, IdHelper, SubIdRange, SubIds};
use rootling_config::idmap::IdKind;

/// Maps, and what the caller should know about them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WantedMaps {
    /// The maps.
    pub maps: Maps,
    /// Lines of files that were skipped, and the reason if only one id could be mapped.
    pub notes: Vec<Adaptation>,
    /// The reason why only the caller's own id is mapped, if there are no more ids.
    pub only_own: Option<String>,
}

/// The number of rows that the kernel accepts in one map; `user_namespaces`(7), Linux 4.15.
const MOST_ROWS: usize = 340;

/// The number of bytes that the kernel accepts in one map: the write must be shorter than a page.
const MOST_BYTES: usize = 4095;

/// The maps for the caller: its own id as 0, then its subordinate ids from 1 up. Inside a user namespace in which
/// the caller may map anything, all ids of that namespace from 0 up.
///
/// # Errors
/// [`IdmapError::OwnIdInRange`] if a range contains the caller's own id, and [`IdmapError::NoDefaultForRoot`] for
/// root outside a user namespace.
pub fn default_maps(host: &Host) -> Result<WantedMaps, IdmapError> {
    let restricted = host.is_restricted_root();
    if (host.in_user_namespace() || restricted) && super::write::may_map_anything(host) {
        return Ok(current_maps(host));
    }
    if !host.is_ordinary_user() && !restricted {
        return Err(IdmapError::NoDefaultForRoot);
    }
    let account = host.account();
    let mut wanted = WantedMaps::default();
    let ranges = own_ranges(host, account, &mut wanted.notes);
    let (uid, gid) = match ranges.and_then(|found| helpers_usable(host).map(|()| found)) {
        Ok(found) => found,
        Err(why) => {
            wanted
                .notes
                .push(Adaptation::warning("id map: only the caller's own user and group are mapped", &why));
            wanted.only_own = Some(why);
            (Vec::new(), Vec::new())
        }
    };
    wanted.maps.uid = self_then(IdKind::User, host.euid(), &account.label(), &uid)?;
    wanted.maps.gid = self_then(IdKind::Group, host.egid(), &account.label(), &gid)?;
    Ok(wanted)
}

/// The maps from the ranges of a named owner, who is not [root](MapOwner::is_root): from 0 up if the caller is
/// root, otherwise from 1 up after the caller's own id.
///
/// # Errors
/// [`IdmapError::UnknownOwner`], [`IdmapError::NoRange`] and [`IdmapError::OwnIdInRange`].
pub fn maps_of(host: &Host, owner: &MapOwner) -> Result<WantedMaps, IdmapError> {
    let user = owner.resolve(host)?;
    let mut wanted = WantedMaps::default();
    let uid = named_ranges(host, IdKind::User, &user, &mut wanted.notes)?;
    let gid = named_ranges(host, IdKind::Group, &user, &mut wanted.notes)?;
    if host.is_ordinary_user() {
        wanted.maps.uid = self_then(IdKind::User, host.euid(), &user.label(), &uid)?;
        wanted.maps.gid = self_then(IdKind::Group, host.egid(), &user.label(), &gid)?;
    } else {
        wanted.maps.uid = packed(Vec::new(), &uid);
        wanted.maps.gid = packed(Vec::new(), &gid);
    }
    Ok(wanted)
}

/// The ids inside the current namespace are the outer ids of the one to be made.
fn current_maps(host: &Host) -> WantedMaps {
    let pack = |map: &[LinuxIdMapping]| {
        let mut inside: Vec<_> =
            map.iter().map(|row| SubIdRange { start: row.container_id(), count: row.size() }).collect();
        inside.sort_unstable_by_key(|range| range.start);
        packed(Vec::new(), &inside)
    };
    let maps = Maps { uid: pack(host.uid_map()), gid: pack(host.gid_map()) };
    WantedMaps { maps, ..WantedMaps::default() }
}

type Ranges = (Vec<SubIdRange>, Vec<SubIdRange>);

/// The ranges for users and groups, or the reason why there are none.
fn own_ranges(host: &Host, account: &Account, notes: &mut Vec<Adaptation>) -> Result<Ranges, String> {
    let (uid, gid) = (host.sub_ids(IdKind::User, account), host.sub_ids(IdKind::Group, account));
    notes.extend(uid.warnings.iter().chain(&gid.warnings).map(|line| file_note(line)));
    let (mut uids, mut gids) = (uid.ranges.clone(), gid.ranges.clone());
    if uids.is_empty() && gids.is_empty() {
        uids = host.directory_sub_ids(IdKind::User, account);
        gids = if uids.is_empty() { Vec::new() } else { host.directory_sub_ids(IdKind::Group, account) };
    }
    if uids.is_empty() || gids.is_empty() {
        let label = account.label();
        let missing = [(IdKind::User, &uids, &uid), (IdKind::Group, &gids, &gid)]
            .into_iter()
            .filter(|(_, ranges, _)| ranges.is_empty())
            .map(|(kind, _, given)| line_to_add(host, kind, &label, given));
        let remedy = missing.collect::<Option<Vec<_>>>().map_or_else(
            || "start the outer container with more ids than this one's".into(),
            |lines| format!("as root {}", lines.join(" and ")),
        );
        return Err(format!("no subordinate ids for \"{label}\": for more ids, {remedy}"));
    }
    Ok((uids, gids))
}

/// Suggests `add the line "alice:100000:65536" to /etc/subuid`, if the caller's user namespace has ids to grant.
fn line_to_add(host: &Host, kind: IdKind, owner: &str, given: &SubIds) -> Option<String> {
    let range = host.range_to_add(kind, given)?;
    Some(format!("add the line \"{owner}:{}:{}\" to {}", range.start, range.count, kind.subid_file()))
}

fn file_note(line: &str) -> Adaptation {
    Adaptation::warning("id map", line)
}

fn helpers_usable(host: &Host) -> Result<(), String> {
    if super::write::may_map_anything(host) {
        return Ok(());
    }
    for kind in [IdKind::User, IdKind::Group] {
        if let IdHelper::Unusable(fault) = host.id_helper(kind) {
            let remedy = Distribution::of(host).mend(kind, fault);
            return Err(format!("{}: {remedy}", fault.describe(kind)));
        }
    }
    Ok(())
}

fn named_ranges(
    host: &Host,
    kind: IdKind,
    owner: &Account,
    notes: &mut Vec<Adaptation>,
) -> Result<Vec<SubIdRange>, IdmapError> {
    let found = host.sub_ids(kind, owner);
    notes.extend(found.warnings.iter().map(|line| file_note(line)));
    let ranges = if found.ranges.is_empty() { host.directory_sub_ids(kind, owner) } else { found.ranges };
    if ranges.is_empty() {
        return Err(IdmapError::NoRange { kind, owner: owner.label(), free: found.next_free });
    }
    Ok(ranges)
}

/// Maps the caller to 0, and the ranges from 1 up.
fn self_then(
    kind: IdKind,
    own: u32,
    owner: &str,
    ranges: &[SubIdRange],
) -> Result<Vec<LinuxIdMapping>, IdmapError> {
    if let Some(range) = ranges.iter().find(|range| range.contains(own)) {
        let (start, count) = (range.start, range.count);
        return Err(IdmapError::OwnIdInRange { kind, owner: owner.into(), id: own, start, count });
    }
    Ok(packed(vec![mapping(0, own, 1)], ranges))
}

/// Appends the ranges, each right after the one before. What exceeds the kernel's limits is left out.
fn packed(mut rows: Vec<LinuxIdMapping>, ranges: &[SubIdRange]) -> Vec<LinuxIdMapping> {
    let mut next = rows.last().map_or(0, |row| row.container_id() + row.size());
    let mut bytes: usize = rows.iter().map(length).sum();
    for range in ranges {
        let row = mapping(next, range.start, range.count.min(u32::MAX - next));
        bytes += length(&row);
        if row.size() == 0 || rows.len() == MOST_ROWS || bytes > MOST_BYTES {
            break;
        }
        next += row.size();
        rows.push(row);
    }
    rows
}

/// The length in bytes of a row as it is written, including its newline.
fn length(row: &LinuxIdMapping) -> usize {
    let digits = |n: u32| n.checked_ilog10().map_or(1, |log| log as usize + 1);
    digits(row.container_id()) + digits(row.host_id()) + digits(row.size()) + 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Fixture;

    type Rows = Vec<(u32, u32, u32)>;

    fn rows(map: &[LinuxIdMapping]) -> Rows {
        map.iter().map(|row| (row.container_id(), row.host_id(), row.size())).collect()
    }

    fn alice() -> Fixture {
        Fixture::ordinary(1000).gid(100).file("/etc/passwd", "alice:x:1000:100::/:/bin/sh\n").id_helpers()
    }

    #[test]
    fn the_caller_is_root_and_every_range_follows_packed() {
        let host = Host::on(
            alice()
                .file("/etc/subuid", "alice:100000:65536\nbob:165536:65536\n1000:300000:10\n")
                .file("/etc/subgid", "alice:500000:5\n"),
        );
        let wanted = default_maps(&host).unwrap();
        assert_eq!(rows(&wanted.maps.uid), [(0, 1000, 1), (1, 100_000, 65536), (65537, 300_000, 10)]);
        assert_eq!(rows(&wanted.maps.gid), [(0, 100, 1), (1, 500_000, 5)]);
        assert_eq!((wanted.notes, wanted.only_own), (vec![], None));
    }

    #[test]
    fn what_is_missing_leaves_the_own_id_and_is_named() {
        let ranges = |machine: Fixture| {
            machine.file("/etc/subuid", "alice:100000:9\n").file("/etc/subgid", "alice:100000:9\n")
        };
        for (machine, words) in [
            (alice(), vec!["\"alice:100000:65536\" to /etc/subuid", "to /etc/subgid"]),
            (
                alice().file("/etc/subuid", "alice:100000:9\n").file("/etc/subgid", "bob:100000:65536\n"),
                vec!["\"alice:165536:65536\" to /etc/subgid"],
            ),
            (
                ranges(alice()).program("/usr/bin/newgidmap", 0o755),
                vec!["/usr/bin/newgidmap has neither", "setcap cap_setgid+ep"],
            ),
            (
                ranges(alice().path("/opt")).program("/usr/bin/newuidmap", 0),
                vec!["newuidmap is not installed", "uidmap"],
            ),
            (ranges(alice()).no_new_privs(), vec!["no_new_privs"]),
        ] {
            let wanted = default_maps(&Host::on(machine)).unwrap();
            assert_eq!(rows(&wanted.maps.uid), [(0, 1000, 1)]);
            assert_eq!(rows(&wanted.maps.gid), [(0, 100, 1)]);
            let why = wanted.only_own.unwrap();
            assert!(wanted.notes.iter().any(|note| note.warning && note.why == why));
            for word in words {
                assert!(why.contains(word), "{why:?} should contain {word:?}");
            }
        }
    }

    #[test]
    fn a_range_with_the_callers_own_id_is_an_error() {
        for (subuid, subgid, words) in [
            (
                "alice:1000:10",
                "alice:100000:10",
                "/etc/subuid: the range 1000:10 of \"alice\" contains the caller's own uid 1000",
            ),
            (
                "alice:100000:10",
                "alice:50:51",
                "/etc/subgid: the range 50:51 of \"alice\" contains the caller's own gid 100",
            ),
        ] {
            let host = Host::on(alice().file("/etc/subuid", subuid).file("/etc/subgid", subgid));
            let error = default_maps(&host).unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }

    #[test]
    fn inside_a_user_namespace_its_own_ids_are_used_each_from_its_file() {
        let host = Host::on(
            Fixture::ordinary(0)
                .file("/proc/self/uid_map", "100 300000 50\n0 1000 1\n1 100000 20\n")
                .file("/proc/self/gid_map", "0 1000 1\n"),
        );
        let wanted = default_maps(&host).unwrap();
        assert_eq!(rows(&wanted.maps.uid), [(0, 0, 1), (1, 1, 20), (21, 100, 50)]);
        assert_eq!(rows(&wanted.maps.gid), [(0, 0, 1)]);
    }

    #[test]
    fn root_of_the_host_has_no_default() {
        assert_eq!(default_maps(&Host::on(Fixture::ordinary(0))), Err(IdmapError::NoDefaultForRoot));
    }

    #[test]
    fn a_named_owner_gives_root_its_ranges_from_0() {
        let machine = || {
            Fixture::ordinary(0)
                .file("/etc/passwd", "remap:x:900:900::/:/bin/sh\n")
                .file("/etc/group", "remap:x:901:\n")
                .file("/etc/subuid", "remap:200000:65536\n")
                .file("/etc/subgid", "remap:300000:65536\n901:1:1\n")
        };
        let wanted = maps_of(&Host::on(machine()), &"remap:remap".parse().unwrap()).unwrap();
        assert_eq!(rows(&wanted.maps.uid), [(0, 200_000, 65536)]);
        assert_eq!(rows(&wanted.maps.gid), [(0, 300_000, 65536)]);
        let machine = machine().file("/etc/subgid", "901:300000:65536\n");
        let error = maps_of(&Host::on(machine), &"remap:remap".parse().unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/etc/subgid: no range for \"remap\": add the line \"remap:365536:65536\" to it"
        );
    }

    #[test]
    fn a_directory_service_is_asked_only_when_both_files_have_nothing() {
        let directory = || {
            alice()
                .file("/etc/nsswitch.conf", "subid: sss\n")
                .program("/usr/bin/getsubids", 0o755)
                .output("/usr/bin/getsubids alice", "0: alice 100000 65536\n")
                .output("/usr/bin/getsubids -g alice", "0: alice 200000 65536\n")
        };
        let wanted = default_maps(&Host::on(directory())).unwrap();
        assert_eq!(rows(&wanted.maps.uid), [(0, 1000, 1), (1, 100_000, 65536)]);
        assert_eq!(rows(&wanted.maps.gid), [(0, 100, 1), (1, 200_000, 65536)]);

        for machine in [
            directory().file("/etc/subuid", "alice:400000:5\n"),
            directory().file("/etc/nsswitch.conf", "passwd: files\n"),
            directory().program("/usr/bin/getsubids", 0o644),
        ] {
            let looks = machine.looks();
            let wanted = default_maps(&Host::on(machine)).unwrap();
            assert_eq!(wanted.maps.uid.len(), 1);
            assert!(!looks.borrow().iter().any(|look| look.starts_with("run ")), "{looks:?}");
        }
    }

    #[test]
    fn a_map_stays_within_what_the_kernel_takes() {
        let short: Vec<_> = (0..500).map(|n| SubIdRange { start: n * 2, count: 1 }).collect();
        let map = packed(Vec::new(), &short);
        let text = rows(&map).iter().map(|(a, b, c)| format!("{a} {b} {c}\n")).collect::<Vec<_>>().concat();
        assert!(map.len() <= MOST_ROWS && text.len() <= MOST_BYTES, "{} {}", map.len(), text.len());
        assert_eq!(text.len(), map.iter().map(length).sum::<usize>());
        assert!(map.len() > 300);

        let huge = [SubIdRange { start: 1, count: u32::MAX - 1 }, SubIdRange { start: 5, count: 9 }];
        assert_eq!(rows(&packed(vec![mapping(0, 0, 1)], &huge)), [(0, 0, 1), (1, 1, u32::MAX - 1)]);
    }
}
