//! `/proc/PID/uid_map` and `/proc/PID/gid_map`; `user_namespaces`(7).

use std::fmt::Display;

use oci_spec::runtime::LinuxIdMapping;

use rootling_config::idmap::{IdKind, mapping};

use super::SubIdRange;

/// Every id except 4294967295, which stands for "none".
const ALL_IDS: u32 = u32::MAX;

/// The map of the user namespace that the caller is in now; empty if /proc cannot be read.
pub fn own_map(kind: IdKind) -> Vec<LinuxIdMapping> {
    map_of("self", kind).unwrap_or_default()
}

/// The map of the user namespace of a process, `self` or a pid, with the outer ids as the caller sees them.
///
/// # Errors
/// /proc cannot be read, or there is no such process.
pub fn map_of(process: impl Display, kind: IdKind) -> std::io::Result<Vec<LinuxIdMapping>> {
    std::fs::read_to_string(format!("/proc/{process}/{kind}_map")).map(|text| parse(&text))
}

pub(super) fn parse(text: &str) -> Vec<LinuxIdMapping> {
    text.lines()
        .filter_map(|line| {
            let mut numbers = line.split_whitespace().map(str::parse::<u32>);
            let mut next = || numbers.next()?.ok();
            Some(mapping(next()?, next()?, next()?))
        })
        .collect()
}

pub(super) fn is_identity_of_all(map: &[LinuxIdMapping]) -> bool {
    matches!(map, [one] if (one.container_id(), one.host_id(), one.size()) == (0, 0, ALL_IDS))
}

/// The longest run of ids that `map` has inside, excluding 0 and `own`; `wanted` if the map has all of those.
pub(super) fn room(map: &[LinuxIdMapping], own: u32, wanted: SubIdRange) -> Option<SubIdRange> {
    let mut rows: Vec<_> = map.iter().map(|row| (row.container_id(), row.size())).collect();
    rows.sort_unstable();
    // Adjacent rows, as most maps of containers have, are joined, and runs start from 1.
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for (start, size) in rows {
        let end = start.saturating_add(size);
        match runs.last_mut() {
            Some(run) if run.1 == start => run.1 = end,
            _ => runs.push((start.max(1), end)),
        }
    }
    let last = wanted.start.saturating_add(wanted.count);
    if runs.iter().any(|(start, end)| *start <= wanted.start && last <= *end) {
        return Some(wanted);
    }
    let parts = runs.iter().flat_map(|&(start, end)| {
        if (start..end).contains(&own) { [(start, own), (own + 1, end)] } else { [(start, end), (end, end)] }
    });
    let parts = parts.filter(|(start, end)| start < end);
    parts
        .map(|(start, end)| SubIdRange { start, count: (end - start).min(wanted.count) })
        .max_by_key(|r| r.count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_followed_outwards() {
        let map = parse("         0       1000          1\n         1     100000      65536\n");
        for (inner, wanted) in [(0, Some(1000)), (1, Some(100_000)), (65536, Some(165_535)), (65537, None)] {
            assert_eq!(rootling_config::idmap::to_host(&map, inner), wanted, "{inner}");
        }
    }

    #[test]
    fn room_is_where_the_namespace_has_ids() {
        let wanted = SubIdRange { start: 100_000, count: 65536 };
        for (map, own, found) in [
            ("0 0 4294967295\n", 1000, Some((100_000, 65536))),
            // As made by podman's --userns keep-id.
            ("0 1 1000\n1000 0 1\n1001 1001 64536\n", 1000, Some((1001, 64536))),
            ("0 1000 1\n1 100000 65536\n", 0, Some((1, 65536))),
            ("0 1000 1\n1 100000 65536\n", 60000, Some((1, 59999))),
            ("0 1000 1\n", 0, None),
            ("1000 0 1\n", 1000, None),
        ] {
            let room = room(&parse(map), own, wanted).map(|range| (range.start, range.count));
            assert_eq!(room, found, "{map}");
        }
    }
}
