//! subuid(5) and subgid(5): lines of `owner:first:count`.

use std::collections::BTreeMap;
use std::path::Path;

use super::Account;

/// A range of `count` ids from `start` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubIdRange {
    /// The first id.
    pub start: u32,
    /// The number of ids.
    pub count: u32,
}

impl SubIdRange {
    /// Whether `id` is in the range.
    pub fn contains(&self, id: u32) -> bool {
        id >= self.start && id - self.start < self.count
    }
}

/// Ranges that have no id in common, as the first and the last id of each. This keeps the time for a file with
/// thousands of ranges short.
#[derive(Default)]
struct Apart(BTreeMap<u32, u32>);

impl Apart {
    /// Adds a range, unless it has an id in common with one that was added before.
    fn add(&mut self, range: SubIdRange) -> bool {
        let last = range.start + (range.count - 1);
        let apart = self.0.range(..=last).next_back().is_none_or(|(_, end)| *end < range.start);
        if apart {
            self.0.insert(range.start, last);
        }
        apart
    }
}

/// What a file grants to one owner.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubIds {
    /// The ranges, in the order of the file.
    pub ranges: Vec<SubIdRange>,
    /// Lines that could not be used, each naming file and line.
    pub warnings: Vec<String>,
    /// The first id from 100000 up that is above all ranges in the file: a range to be added can start there.
    pub next_free: u32,
}

/// The id from which distributions assign subordinate ids (`SUB_UID_MIN`, login.defs(5)).
const FIRST_SUB_ID: u32 = 100_000;

/// The highest id: 4294967295 means "none".
const LAST_ID: u64 = u32::MAX as u64 - 1;

pub(super) fn parse(file: impl AsRef<Path>, text: &str, owner: &Account) -> SubIds {
    let file = file.as_ref().display();
    let mut found = SubIds { next_free: FIRST_SUB_ID, ..SubIds::default() };
    let mut apart = Apart::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = number + 1;
        let Some((name, range)) = parse_line(line) else {
            found
                .warnings
                .push(format!("{file} line {number}: \"{line}\" is not owner:first:count, ignored"));
            continue;
        };
        found.next_free = found.next_free.max(range.start.saturating_add(range.count));
        if !is_owner(name, owner) {
            continue;
        }
        // The kernel rejects a map in which an id occurs twice.
        if !apart.add(range) {
            found.warnings.push(format!(
                "{file} line {number}: \"{line}\" overlaps an earlier range of {}, ignored",
                owner.label()
            ));
            continue;
        }
        found.ranges.push(range);
    }
    found
}

fn parse_line(line: &str) -> Option<(&str, SubIdRange)> {
    let mut fields = line.split(':');
    let (name, start, count) = (fields.next()?.trim(), fields.next()?, fields.next()?);
    if name.is_empty() || fields.next().is_some() {
        return None;
    }
    Some((name, range(start, count)?))
}

fn range(start: &str, count: &str) -> Option<SubIdRange> {
    let (start, count): (u32, u32) = (start.trim().parse().ok()?, count.trim().parse().ok()?);
    let fits = count > 0 && u64::from(start) + u64::from(count) - 1 <= LAST_ID;
    fits.then_some(SubIdRange { start, count })
}

fn is_owner(name: &str, owner: &Account) -> bool {
    owner.name.as_deref() == Some(name) || name.parse() == Ok(owner.id)
}

/// Parses lines of the form `index: owner first count`; getsubids(1).
pub(super) fn parse_getsubids(text: &str) -> Vec<SubIdRange> {
    let (mut ranges, mut apart) = (Vec::new(), Apart::default());
    for line in text.lines() {
        let mut words = line.split_whitespace().rev();
        let (Some(count), Some(start)) = (words.next(), words.next()) else { continue };
        if let Some(range) = range(start, count).filter(|new| apart.add(*new)) {
            ranges.push(range);
        }
    }
    ranges
}

pub(super) fn has_directory(nsswitch: &str) -> bool {
    nsswitch
        .lines()
        .filter_map(|line| line.split('#').next()?.trim().strip_prefix("subid:"))
        .any(|sources| sources.split_whitespace().any(|source| source != "files" && !source.starts_with('[')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> Account {
        Account { id: 1000, name: Some("alice".into()) }
    }

    fn ranges(text: &str) -> Vec<(u32, u32)> {
        parse("/etc/subuid", text, &alice()).ranges.iter().map(|r| (r.start, r.count)).collect()
    }

    #[test]
    fn ranges_belong_to_a_name_or_to_a_number() {
        for (text, wanted) in [
            ("alice:100000:65536\n", vec![(100_000, 65536)]),
            ("1000:100000:65536", vec![(100_000, 65536)]),
            ("bob:100000:65536\n", vec![]),
            ("# comment\n\n  alice : 5 : 10 \n", vec![(5, 10)]),
            ("alice:300000:5\nbob:1:1\n1000:200000:7\n", vec![(300_000, 5), (200_000, 7)]),
            ("1000x:1:1\nalicex:1:1\n", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(ranges(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn an_owner_without_a_name_is_found_by_number_only() {
        let nobody = Account { id: 7, name: None };
        let found = parse("/etc/subuid", ":1:1\n7:100:10\n", &nobody);
        assert_eq!(found.ranges, [SubIdRange { start: 100, count: 10 }]);
    }

    #[test]
    fn a_malformed_line_is_named_and_passed_over() {
        for line in [
            "alice:100000",
            "alice:100000:65536:9",
            "alice:x:1",
            "alice:1:0",
            "alice:-1:5",
            "alice:4294967295:1",
            "alice:4294967290:6",
            "alice:99999999999:1",
            ":1:1",
            "junk",
        ] {
            let text = format!("# first\n{line}\nalice:100000:10\n");
            let found = parse("/etc/subuid", &text, &alice());
            assert_eq!(found.ranges.len(), 1, "{line}");
            assert_eq!(found.warnings.len(), 1, "{line}");
            assert!(found.warnings[0].starts_with("/etc/subuid line 2: "), "{:?}", found.warnings);
        }
        assert_eq!(ranges("alice:4294967290:5"), [(4_294_967_290, 5)], "the highest id is usable");
    }

    #[test]
    fn a_line_given_twice_counts_once() {
        let found = parse("/etc/subgid", "alice:100000:10\n1000:100005:10\n", &alice());
        assert_eq!(found.ranges.len(), 1);
        assert!(found.warnings[0].starts_with("/etc/subgid line 2"), "{:?}", found.warnings);
    }

    #[test]
    fn ranges_share_no_id_in_whatever_order_they_come() {
        let text = "alice:10:5\nalice:20:5\nalice:14:2\nalice:15:5\nalice:24:1\nalice:9:1\nalice:0:30\n";
        assert_eq!(ranges(text), [(10, 5), (20, 5), (15, 5), (9, 1)]);
    }

    #[test]
    fn a_free_range_is_after_everybody() {
        for (text, wanted) in
            [("", 100_000), ("bob:5:5", 100_000), ("bob:100000:65536\ncarol:1:1\n", 165_536)]
        {
            assert_eq!(parse("/etc/subuid", text, &alice()).next_free, wanted, "{text:?}");
        }
    }

    #[test]
    fn getsubids_output_is_read() {
        let text = "0: alice 100000 65536\n1: alice 100010 5\n2: alice 300000 10\nError fetching ranges\n";
        let found: Vec<_> = parse_getsubids(text).iter().map(|r| (r.start, r.count)).collect();
        assert_eq!(found, [(100_000, 65536), (300_000, 10)]);
    }

    #[test]
    fn a_directory_service_is_a_source_other_than_files() {
        for (text, wanted) in [
            ("passwd: files sss\nsubid: sss\n", true),
            ("subid: files sss", true),
            ("subid:\tfiles # sss\n", false),
            ("#subid: sss\n", false),
            ("passwd: files sss\n", false),
            ("", false),
        ] {
            assert_eq!(has_directory(text), wanted, "{text:?}");
        }
    }
}
