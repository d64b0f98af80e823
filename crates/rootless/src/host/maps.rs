//! `/proc/PID/uid_map` and `gid_map`. `user_namespaces`(7)

use oci_spec::runtime::LinuxIdMapping;

use crate::idmap::mapping;

/// Every id but 4294967295, which stands for "none".
const ALL_IDS: u32 = u32::MAX;

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

pub(super) fn outer(map: &[LinuxIdMapping], inner: u32) -> Option<u32> {
    map.iter().find_map(|row| {
        let offset = inner.checked_sub(row.container_id()).filter(|offset| *offset < row.size())?;
        row.host_id().checked_add(offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_followed_outwards() {
        let map = parse("         0       1000          1\n         1     100000      65536\n");
        for (inner, wanted) in [(0, Some(1000)), (1, Some(100_000)), (65536, Some(165_535)), (65537, None)] {
            assert_eq!(outer(&map, inner), wanted, "{inner}");
        }
    }
}
