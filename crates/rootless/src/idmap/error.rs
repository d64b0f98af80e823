use crate::host::Fault;
use rootling_config::idmap::IdKind;

/// Why a container cannot get the ids that it needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdmapError {
    /// The caller's own id is one of its subordinate ids, and so would be mapped twice.
    #[error(
        "{file}: the range {start}:{count} of \"{owner}\" contains the caller's own {kind} {id}, which is \
         mapped already: give \"{owner}\" a range without it",
        file = .kind.subid_file(), kind = .kind
    )]
    OwnIdInRange {
        /// Users or groups.
        kind: IdKind,
        /// The owner of the range.
        owner: String,
        /// The caller's id.
        id: u32,
        /// The first id of the range.
        start: u32,
        /// Its length.
        count: u32,
    },
    /// The ranges of a named owner were asked for, and there are none.
    #[error(
        "{}: no range for \"{owner}\": add the line \"{owner}:{free}:65536\" to it", .kind.subid_file()
    )]
    NoRange {
        /// Users or groups.
        kind: IdKind,
        /// The owner asked for.
        owner: String,
        /// The first id of a range that could be added.
        free: u32,
    },
    /// The named owner does not exist on this host.
    #[error("id map \"{value}\": no {} \"{value}\" in {file}: give a known name or a number", if *.kind == IdKind::User { "user" } else { "group" })]
    UnknownOwner {
        /// Users or groups.
        kind: IdKind,
        /// The name asked for.
        value: String,
        /// The file in which it was looked up.
        file: &'static str,
    },
    /// The user that stands for "default" does not exist.
    #[error(
        "id map \"default\": no user \"{user}\" in /etc/passwd: as root run `useradd --system --user-group --shell \
         /usr/sbin/nologin {user}` and `usermod --add-subuids {free}-{last} --add-subgids {free}-{last} {user}`, or \
         name another user", last = u64::from(*.free) + 65535
    )]
    NoDefaultUser {
        /// Its name.
        user: &'static str,
        /// The first id of a range that could be added.
        free: u32,
    },
    /// The name of an owner is malformed.
    #[error("id map \"{value}\": not of the form UID, UID:GID, USER, USER:GROUP, default or root")]
    MalformedOwner {
        /// The value given.
        value: String,
    },
    /// Root outside a user namespace has no ids reserved for containers.
    #[error(
        "linux.uidMappings: empty: root has no ids by default: give uidMappings and gidMappings, or name \
         the owner of a range in /etc/subuid"
    )]
    NoDefaultForRoot,
    /// More than the caller's own id is to be mapped, and the helper cannot be used.
    #[error("linux.{}: more than the caller's own id {own} is to be mapped, but {}: {remedy}, or map only the caller's own id", .kind.field(), .fault.describe(*.kind))]
    Helper {
        /// Users or groups.
        kind: IdKind,
        /// The caller's id.
        own: u32,
        /// What is wrong with the helper.
        fault: Fault,
        /// What to do about it.
        remedy: String,
    },
    /// A mapping contains ids that are not the caller's.
    #[error(
        "linux.{}: host ids {first} to {last} are not all given to \"{owner}\" by {file}: map only ids that are, or \
         as root add the line \"{owner}:{first}:{count}\" to it",
        .kind.field(), file = .kind.subid_file(), count = u64::from(*.last) - u64::from(*.first) + 1
    )]
    NotOurs {
        /// Users or groups.
        kind: IdKind,
        /// The caller.
        owner: String,
        /// The first host id of the mapping.
        first: u32,
        /// The last host id of the mapping.
        last: u32,
    },
    /// Mapping id 0 of the parent namespace requires another capability; `user_namespaces`(7), Linux 5.12.
    #[error(
        "linux.{}: host id 0 cannot be mapped without CAP_SETFCAP: give the capability to this process (a \
         container: --cap-add SETFCAP), or map other ids", .kind.field()
    )]
    RootNeedsSetfcap {
        /// Users or groups.
        kind: IdKind,
    },
}

impl IdmapError {
    /// Whether `rootling doctor` has a check for what is missing.
    pub fn has_check(&self) -> bool {
        matches!(self, Self::OwnIdInRange { .. } | Self::Helper { .. } | Self::NotOurs { .. })
    }
}
