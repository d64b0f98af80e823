//! Which ids a container gets, and who writes its maps. `user_namespaces`(7), newuidmap(1)

mod cut;
mod default_maps;
mod error;
mod owner;
mod write;

use oci_spec::runtime::LinuxIdMapping;

pub use cut::cut;
pub use default_maps::{WantedMaps, default_maps, maps_of};
pub use error::IdmapError;
pub use owner::{MapOwner, ROOT_IS_NOT_MAPPED};
pub use write::{MapWriter, must_deny_setgroups, writer};

/// The maps of one user namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Maps {
    /// User ids.
    pub uid: Vec<LinuxIdMapping>,
    /// Group ids.
    pub gid: Vec<LinuxIdMapping>,
}

/// Whether `maps` is the one map that any user may write: its own id and nothing else.
pub(crate) fn is_own_id(maps: &[LinuxIdMapping], own: u32) -> bool {
    matches!(maps, [row] if row.size() == 1 && row.host_id() == own)
}
