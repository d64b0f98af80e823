//! The user whose subordinate ids are used, if it is not the caller.

use std::str::FromStr;

use super::IdmapError;
use crate::host::{Account, Host};
use rootling_config::idmap::IdKind;

/// The user that `default` stands for, as in the Docker daemon.
const DEFAULT_USER: &str = "dockremap";

/// Why naming root as the owner has no effect.
pub const ROOT_IS_NOT_MAPPED: &str =
    "root cannot be mapped to itself, so no user namespace is used: name another user to have one";

/// An owner in the form `UID`, `UID:GID`, `USER`, `USER:GROUP`, `default` or `root`, whose ranges in /etc/subuid
/// and /etc/subgid are to be used. As in the Docker daemon, the ranges are the user's in both files. A group
/// that is named only has to exist; numbers need no entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapOwner {
    user: String,
    group: Option<String>,
}

impl FromStr for MapOwner {
    type Err = IdmapError;

    fn from_str(value: &str) -> Result<Self, IdmapError> {
        let mut parts = value.split(':').map(str::to_owned);
        let (user, group) = (parts.next().unwrap_or_default(), parts.next());
        if user.is_empty() || group.as_deref() == Some("") || parts.next().is_some() {
            return Err(IdmapError::MalformedOwner { value: value.into() });
        }
        Ok(Self { user, group })
    }
}

impl MapOwner {
    /// Whether nothing is to be mapped: root cannot be mapped to itself and be somebody else.
    pub fn is_root(&self) -> bool {
        self.user == "root" || self.user.parse() == Ok(0)
    }

    /// The account of the owner of the ranges.
    pub(super) fn resolve(&self, host: &Host) -> Result<Account, IdmapError> {
        if let Some(group) = self.group.as_deref().filter(|group| group.parse::<u32>().is_err()) {
            host.group_by_name(group).ok_or_else(|| unknown(IdKind::Group, group, "/etc/group"))?;
        }
        match self.user.parse() {
            Ok(id) => Ok(host.user_by_id(id)),
            Err(_) if self.user == "default" => {
                host.user_by_name(DEFAULT_USER).ok_or_else(|| no_default_user(host))
            }
            Err(_) => {
                host.user_by_name(&self.user).ok_or_else(|| unknown(IdKind::User, &self.user, "/etc/passwd"))
            }
        }
    }
}

fn no_default_user(host: &Host) -> IdmapError {
    let nobody = Account { id: u32::MAX, name: Some(DEFAULT_USER.to_owned()) };
    let free = |kind| host.sub_ids(kind, &nobody).next_free;
    IdmapError::NoDefaultUser { user: DEFAULT_USER, free: free(IdKind::User).max(free(IdKind::Group)) }
}

fn unknown(kind: IdKind, value: &str, file: &'static str) -> IdmapError {
    IdmapError::UnknownOwner { kind, value: value.into(), file }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Fixture;

    #[test]
    fn a_map_owner_is_named_or_numbered() {
        let host = Host::on(
            Fixture::ordinary(0)
                .file("/etc/passwd", "alice:x:1000:1000::/:/bin/sh\n")
                .file("/etc/group", "staff:x:50:\n"),
        );
        for (value, expected) in [
            ("1000", (1000, Some("alice"))),
            ("alice", (1000, Some("alice"))),
            ("alice:staff", (1000, Some("alice"))),
            ("alice:51", (1000, Some("alice"))),
            ("7:50", (7, None)),
        ] {
            let user = value.parse::<MapOwner>().unwrap().resolve(&host).unwrap();
            assert_eq!((user.id, user.name.as_deref()), expected, "{value}");
        }
        let error = "alice:wheel".parse::<MapOwner>().unwrap().resolve(&host).unwrap_err().to_string();
        assert_eq!(
            error,
            "id map \"wheel\": no group \"wheel\" in /etc/group: give a known name or a number"
        );
    }

    #[test]
    fn default_is_dockremap_or_says_how_to_make_it() {
        let host = Fixture::ordinary(0).file("/etc/subgid", "alice:100000:65536\n");
        let owner: MapOwner = "default".parse().unwrap();
        let error = owner.resolve(&Host::on(host.clone())).unwrap_err().to_string();
        for words in [
            "no user \"dockremap\" in /etc/passwd",
            "useradd",
            "--add-subuids 165536-231071 --add-subgids 165536-231071",
        ] {
            assert!(error.contains(words), "{error}");
        }
        let host = host.file("/etc/passwd", "dockremap:x:998:998::/:/bin/false\n");
        assert_eq!(owner.resolve(&Host::on(host)).unwrap().id, 998);
    }

    #[test]
    fn root_is_not_mapped() {
        for (value, root) in
            [("root", true), ("root:root", true), ("0", true), ("0:5", true), ("rooty", false)]
        {
            assert_eq!(value.parse::<MapOwner>().unwrap().is_root(), root, "{value}");
        }
    }

    #[test]
    fn a_wrong_map_owner_is_quoted() {
        for value in ["", ":", "a:", ":b", "a:b:c"] {
            let error = value.parse::<MapOwner>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("id map \"{value}\": not of the form UID")), "{error}");
        }
        let host = Host::on(Fixture::ordinary(0));
        let error = "bob".parse::<MapOwner>().unwrap().resolve(&host).unwrap_err().to_string();
        assert_eq!(error, "id map \"bob\": no user \"bob\" in /etc/passwd: give a known name or a number");
    }
}
