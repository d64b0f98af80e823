//! Users and groups of the host.

use rootling_sys::accounts::entries;

/// A user or group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The numeric id.
    pub id: u32,
    /// The name, if the files of this host have one.
    pub name: Option<String>,
}

impl Account {
    /// The name or, without one, the number: this is how messages and subuid(5) refer to it.
    pub fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.id.to_string())
    }
}

pub(super) fn by_id(text: &str, id: u32) -> Account {
    let name = entries(text).find(|entry| entry.id == id).map(|entry| entry.name.to_owned());
    Account { id, name }
}

pub(super) fn by_name(text: &str, name: &str) -> Option<Account> {
    let entry = entries(text).find(|entry| entry.name == name)?;
    Some(Account { id: entry.id, name: Some(name.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# alice:x:1:1\n+::::::\n\n\
                          alice:x:1000:1000:Alice:/home/alice:/bin/sh\nshort\nbob:x:one:1\n\
                          twin:x:1000:1000::/:/bin/sh";

    #[test]
    fn accounts_are_found_by_id_and_by_name() {
        assert_eq!(by_id(PASSWD, 1000).name.as_deref(), Some("alice"), "the first one counts");
        assert_eq!(by_id(PASSWD, 7), Account { id: 7, name: None });
        assert_eq!(by_name(PASSWD, "twin").unwrap().id, 1000);
        assert_eq!(by_name(PASSWD, "# alice"), None);
        assert_eq!(by_name(PASSWD, "bob"), None, "an id that is no number");
    }
}
