//! `hugepageLimits` and `network`.

use std::num::NonZeroU32;

use oci_spec::runtime::{LinuxHugepageLimit, LinuxNetwork};

use super::field::{Field, LimitError, refuse};

/// An entry of `hugepageLimits`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hugepages {
    size: String,
    limit: u64,
}

/// `network`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    pub class_id: Option<NonZeroU32>,
    /// Priorities by interface.
    pub priorities: Vec<(String, u32)>,
}

impl Hugepages {
    pub(super) fn parse(entry: &LinuxHugepageLimit) -> Result<Self, LimitError> {
        let size = entry.page_size();
        // It becomes part of a file name.
        let digits = size.strip_suffix('B').and_then(|rest| rest.strip_suffix(['K', 'M', 'G']));
        if digits.is_none_or(|digits| digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit())) {
            let problem = "is not the size of a page; write it like 2MB";
            return Err(refuse("hugepageLimits.pageSize", format!("{size:?}"), problem));
        }
        let limit = u64::try_from(entry.limit()).map_err(|_| {
            refuse("hugepageLimits.limit", entry.limit(), "is negative; use a number of bytes")
        })?;
        Ok(Self { size: size.clone(), limit })
    }

    /// The page size, such as `2MB`.
    pub fn size(&self) -> &str {
        &self.size
    }

    /// The limit in bytes.
    pub const fn limit(&self) -> u64 {
        self.limit
    }
}

impl Network {
    pub(super) fn parse(network: &LinuxNetwork) -> Self {
        let priorities = network.priorities().iter().flatten();
        Self {
            class_id: network.class_id().and_then(NonZeroU32::new),
            priorities: priorities.map(|entry| (entry.name().clone(), entry.priority())).collect(),
        }
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        let Self { class_id, priorities } = self;
        let why = "match on the cgroup with nftables or tc instead";
        let class = class_id.map(|id| Field::limit("net_cls", "network.classID", id));
        let priorities = priorities.iter().map(|_| Field::limit("net_prio", "network.priorities", ""));
        class.into_iter().chain(priorities.take(1)).map(|field| field.not_on_v2(why)).collect()
    }
}
