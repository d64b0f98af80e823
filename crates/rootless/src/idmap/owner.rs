//! Whose subordinate ids to use, when it is not the caller's.

use std::str::FromStr;

use super::IdmapError;
use crate::host::{Account, Host};
use rootling_config::idmap::IdKind;

/// `UID`, `UID:GID`, `USER` or `USER:GROUP`: whose ranges in /etc/subuid and /etc/subgid are to be
/// used. Without a group, the user's own ranges in /etc/subgid.
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
    /// The owners of the user and of the group ranges.
    pub(super) fn resolve(&self, host: &Host) -> Result<(Account, Account), IdmapError> {
        let user = match self.user.parse() {
            Ok(id) => host.user_by_id(id),
            Err(_) => host
                .user_by_name(&self.user)
                .ok_or_else(|| unknown(IdKind::User, &self.user, "/etc/passwd"))?,
        };
        let group = match &self.group {
            None => user.clone(),
            Some(group) => match group.parse() {
                Ok(id) => host.group_by_id(id),
                Err(_) => {
                    host.group_by_name(group).ok_or_else(|| unknown(IdKind::Group, group, "/etc/group"))?
                }
            },
        };
        Ok((user, group))
    }
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
        for (value, user, group) in [
            ("1000", (1000, Some("alice")), (1000, Some("alice"))),
            ("alice", (1000, Some("alice")), (1000, Some("alice"))),
            ("alice:staff", (1000, Some("alice")), (50, Some("staff"))),
            ("7:50", (7, None), (50, Some("staff"))),
        ] {
            let (u, g) = value.parse::<MapOwner>().unwrap().resolve(&host).unwrap();
            assert_eq!((u.id, u.name.as_deref()), user, "{value}");
            assert_eq!((g.id, g.name.as_deref()), group, "{value}");
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
