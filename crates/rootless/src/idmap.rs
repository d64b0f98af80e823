//! Which ids a container gets, and who writes its id maps; `user_namespaces`(7), newuidmap(1).

mod cut;
mod default_maps;
mod error;
mod owner;
mod write;

use oci_spec::runtime::LinuxIdMapping;
use rootling_config::idmap::IdMaps;

pub use cut::cut;
pub use default_maps::{WantedMaps, default_maps, maps_of};
pub use error::IdmapError;
pub use owner::{MapOwner, ROOT_IS_NOT_MAPPED};
pub use write::{MapWriter, must_deny_setgroups, writer};

/// The id maps of one user namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Maps {
    /// User ids.
    pub uid: Vec<LinuxIdMapping>,
    /// Group ids.
    pub gid: Vec<LinuxIdMapping>,
}

/// What happens to a program if `maps` have a single user or group, and how to get more ids; `None` if there are
/// more of both.
pub fn only_one_id(maps: &IdMaps) -> Option<&'static str> {
    let is_one = |maps: &[LinuxIdMapping]| matches!(maps, [row] if row.size() == 1);
    (is_one(maps.uid()) && is_one(maps.gid())).then_some(
        "id map: only one id is mapped: in the container setgroups(2), setuid(2), setgid(2) and chown(2) of another id fail \
         with EPERM or EINVAL, and so do apt, dpkg and su, which call them; for more ids, give the caller ranges in /etc/subuid and \
         /etc/subgid, install newuidmap (`rootling doctor` has the commands), and remove linux.uidMappings and \
         linux.gidMappings from config.json, or write it with `rootling spec --userns auto`",
    )
}

/// Whether `maps` is the one map that any user may write: the user's own id and nothing else.
pub(crate) fn is_own_id(maps: &[LinuxIdMapping], own: u32) -> bool {
    matches!(maps, [row] if row.size() == 1 && row.host_id() == own)
}
