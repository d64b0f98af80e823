//! Id maps: `linux.uidMappings`, `linux.gidMappings` and those of mounts.
//!
//! The kernel answers a bad map with a bare EINVAL (`user_namespaces(7)`, "Defining user and group ID
//! mappings"); the checks here are the kernel's own, with names.

use std::fmt::{self, Write};

use oci_spec::runtime::{LinuxIdMapping, LinuxIdMappingBuilder};

/// The largest number of lines that the kernel accepts in one map, since Linux 4.15.
pub const MAX_MAPPINGS: usize = 340;

/// Which kind of ids a map is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IdKind {
    /// User ids.
    User,
    /// Group ids.
    Group,
}

impl IdKind {
    /// `uid` or `gid`.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "uid",
            Self::Group => "gid",
        }
    }

    /// The field of the specification that holds the container's map.
    pub fn field(self) -> &'static str {
        match self {
            Self::User => "uidMappings",
            Self::Group => "gidMappings",
        }
    }

    /// The file that grants ranges of these ids to users, see subuid(5) and subgid(5).
    pub fn subid_file(self) -> &'static str {
        match self {
            Self::User => "/etc/subuid",
            Self::Group => "/etc/subgid",
        }
    }

    /// The program that writes maps of this kind for an ordinary user: newuidmap(1), newgidmap(1).
    pub fn helper(self) -> &'static str {
        match self {
            Self::User => "newuidmap",
            Self::Group => "newgidmap",
        }
    }
}

/// `uid` or `gid`.
impl fmt::Display for IdKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which side of a map is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Ids as the container sees them.
    Container,
    /// Ids in the parent namespace.
    Host,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Container => "container",
            Self::Host => "host",
        })
    }
}

/// Why a map was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdmapError {
    /// No line at all.
    #[error("{}: the map is empty; map at least the container's {kind} 0", kind.field())]
    Empty {
        /// Users or groups.
        kind: IdKind,
    },
    /// More lines than the kernel accepts.
    #[error("{}: {count} mappings; the kernel takes at most {MAX_MAPPINGS}, merge adjacent ranges", kind.field())]
    TooMany {
        /// Users or groups.
        kind: IdKind,
        /// How many there are.
        count: usize,
    },
    /// A line that maps nothing.
    #[error("{}[{index}]: size is 0; give the number of ids, or remove the mapping", kind.field())]
    ZeroSize {
        /// Users or groups.
        kind: IdKind,
        /// Position in the map, from 0.
        index: usize,
    },
    /// A range that runs past the last id.
    #[error(
        "{}[{index}]: {size} {side} ids from {first} on go past the last one, {last}; make size smaller",
        kind.field(), last = u32::MAX - 1
    )]
    Overflow {
        /// Users or groups.
        kind: IdKind,
        /// Position in the map, from 0.
        index: usize,
        /// The side that overflows.
        side: Side,
        /// First id of the range.
        first: u32,
        /// Number of ids.
        size: u32,
    },
    /// Two lines that share ids.
    #[error(
        "{0}[{first}] and {0}[{second}] both map the {side} {kind} {id}; make the ranges disjoint",
        kind.field()
    )]
    Overlap {
        /// Users or groups.
        kind: IdKind,
        /// Position of one line, from 0.
        first: usize,
        /// Position of the other, from 0.
        second: usize,
        /// The side on which they overlap.
        side: Side,
        /// The lowest id that both have.
        id: u32,
    },
}

/// Both maps of a user namespace or of a mount, in a form that the kernel accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdMaps {
    uid: Vec<LinuxIdMapping>,
    gid: Vec<LinuxIdMapping>,
}

impl IdMaps {
    /// Makes maps, which must pass [`check`].
    ///
    /// # Errors
    /// [`IdmapError`], as for [`check`].
    pub fn new(uid: Vec<LinuxIdMapping>, gid: Vec<LinuxIdMapping>) -> Result<Self, IdmapError> {
        check(&uid, IdKind::User)?;
        check(&gid, IdKind::Group)?;
        Ok(Self { uid, gid })
    }

    /// Makes maps that have already passed [`check`].
    pub(crate) fn checked(uid: Vec<LinuxIdMapping>, gid: Vec<LinuxIdMapping>) -> Self {
        Self { uid, gid }
    }

    /// `uidMappings`.
    pub fn uid(&self) -> &[LinuxIdMapping] {
        &self.uid
    }

    /// `gidMappings`.
    pub fn gid(&self) -> &[LinuxIdMapping] {
        &self.gid
    }
}

/// Checks a map for what the kernel would refuse. Lines may be in any order.
///
/// # Errors
/// [`IdmapError`]: empty, too long, a size of 0, a range past the last id, overlapping ranges on
/// either side.
pub fn check(maps: &[LinuxIdMapping], kind: IdKind) -> Result<(), IdmapError> {
    if maps.is_empty() {
        return Err(IdmapError::Empty { kind });
    }
    if maps.len() > MAX_MAPPINGS {
        return Err(IdmapError::TooMany { kind, count: maps.len() });
    }
    for (index, map) in maps.iter().enumerate() {
        if map.size() == 0 {
            return Err(IdmapError::ZeroSize { kind, index });
        }
        for side in [Side::Container, Side::Host] {
            let (first, size) = (start(map, side), map.size());
            // The id -1 stands for "no id" in system calls and cannot be mapped, hence no `- 1` here.
            if first.checked_add(size).is_none() {
                return Err(IdmapError::Overflow { kind, index, side, first, size });
            }
        }
    }
    overlap(maps, kind, Side::Container)?;
    overlap(maps, kind, Side::Host)
}

fn overlap(maps: &[LinuxIdMapping], kind: IdKind, side: Side) -> Result<(), IdmapError> {
    let mut order: Vec<usize> = (0..maps.len()).collect();
    order.sort_by_key(|index| start(&maps[*index], side));
    for pair in order.windows(2) {
        let id = start(&maps[pair[1]], side);
        if id < start(&maps[pair[0]], side) + maps[pair[0]].size() {
            let (first, second) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
            return Err(IdmapError::Overlap { kind, first, second, side, id });
        }
    }
    Ok(())
}

fn start(map: &LinuxIdMapping, side: Side) -> u32 {
    match side {
        Side::Container => map.container_id(),
        Side::Host => map.host_id(),
    }
}

/// One line of a map: the `size` ids from `container` inside are those from `host` outside.
pub fn mapping(container: u32, host: u32, size: u32) -> LinuxIdMapping {
    let builder = LinuxIdMappingBuilder::default().container_id(container).host_id(host).size(size);
    // The builder fails if a field is missing, and every field has a value here.
    builder.build().unwrap_or_default()
}

/// The host's id for the container's `id`, or `None` when it is not mapped.
pub fn to_host(maps: &[LinuxIdMapping], id: u32) -> Option<u32> {
    maps.iter().find_map(|map| {
        let offset = id.checked_sub(map.container_id())?;
        if offset < map.size() { map.host_id().checked_add(offset) } else { None }
    })
}

/// Whether the container's `id` is mapped.
pub fn covers(maps: &[LinuxIdMapping], id: u32) -> bool {
    to_host(maps, id).is_some()
}

/// A map in the form of `/proc/PID/uid_map`: one line `container host size` each.
pub fn render(maps: &[LinuxIdMapping]) -> String {
    maps.iter().fold(String::new(), |mut text, map| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{} {} {}", map.container_id(), map.host_id(), map.size());
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps(lines: &[(u32, u32, u32)]) -> Vec<LinuxIdMapping> {
        lines.iter().map(|(container, host, size)| mapping(*container, *host, *size)).collect()
    }

    #[test]
    fn what_the_kernel_takes_is_accepted_in_any_order() {
        for lines in [
            &[(0, 1000, 1)][..],
            &[(0, 1000, 1), (1, 100_000, 65536)],
            &[(1, 100_000, 65536), (0, 1000, 1)],
            &[(0, 0, u32::MAX)],
            &[(u32::MAX - 1, 5, 1)],
        ] {
            assert_eq!(check(&maps(lines), IdKind::User), Ok(()), "{lines:?}");
        }
    }

    #[test]
    fn what_the_kernel_refuses_is_named() {
        for (lines, expected) in [
            (&[][..], "gidMappings: the map is empty"),
            (&[(0, 1000, 1), (1, 5, 0)], "gidMappings[1]: size is 0"),
            (&[(u32::MAX, 0, 1)], "gidMappings[0]: 1 container ids from 4294967295 on go past"),
            (&[(0, 10, u32::MAX)], "gidMappings[0]: 4294967295 host ids from 10 on go past"),
            (&[(0, 0, 10), (9, 100, 1)], "gidMappings[0] and gidMappings[1] both map the container gid 9"),
            (&[(5, 0, 10), (0, 100, 6)], "gidMappings[0] and gidMappings[1] both map the container gid 5"),
            (&[(0, 50, 10), (20, 59, 1)], "gidMappings[0] and gidMappings[1] both map the host gid 59"),
            (&[(0, 7, 1), (1, 8, 1), (2, 7, 1)], "gidMappings[0] and gidMappings[2] both map the host gid 7"),
        ] {
            let error = check(&maps(lines), IdKind::Group).expect_err(expected).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let many: Vec<_> = (0..341).map(|n| (n, n, 1)).collect();
        assert!(matches!(check(&maps(&many), IdKind::User), Err(IdmapError::TooMany { count: 341, .. })));
    }

    #[test]
    fn ids_have_one_on_the_host() {
        let maps = maps(&[(0, 1000, 1), (1, 100_000, 10)]);
        for (container, host) in [(0, Some(1000)), (1, Some(100_000)), (10, Some(100_009)), (11, None)] {
            assert_eq!(to_host(&maps, container), host);
            assert_eq!(covers(&maps, container), host.is_some());
        }
    }

    #[test]
    fn a_map_renders_as_proc_wants_it() {
        assert_eq!(render(&maps(&[(0, 1000, 1), (1, 100_000, 10)])), "0 1000 1\n1 100000 10\n");
    }
}
