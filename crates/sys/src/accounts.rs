//! Parses passwd(5) and group(5). The lines of both begin with a name, a password and an id.

/// A line of either file.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// The name of the user or the group.
    pub name: &'a str,
    /// The uid or the gid.
    pub id: u32,
    rest: &'a str,
}

/// The entries of a file. Other lines, such as comments and the `+` of NIS, are skipped.
pub fn entries(text: &str) -> impl Iterator<Item = Account<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.splitn(4, ':');
        let name = fields.next().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
        let id = fields.nth(1)?.parse().ok()?;
        Some(Account { name, id, rest: fields.next().unwrap_or_default() })
    })
}

impl<'a> Account<'a> {
    /// The primary group of a user.
    pub fn gid(&self) -> Option<u32> {
        self.field(0).parse().ok()
    }

    /// The home directory of a user; empty if there is none.
    pub fn home(&self) -> &'a str {
        self.field(2)
    }

    /// The names of the members of a group.
    pub fn members(&self) -> impl Iterator<Item = &'a str> {
        self.field(0).split(',')
    }

    /// A field after the id.
    fn field(&self, index: usize) -> &'a str {
        self.rest.split(':').nth(index).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_told_from_other_lines() {
        let text = "root:x:0:0:root:/root:/bin/sh\n# alice:x:1:1\n+::::::\n\nshort\nbob:x:one:1\nann:x:7";
        let names: Vec<_> =
            entries(text).map(|entry| (entry.name, entry.id, entry.gid(), entry.home())).collect();
        assert_eq!(names, [("root", 0, Some(0), "/root"), ("ann", 7, None, "")]);
        let group = entries("wheel:x:10:ann,bob").next().expect("a group");
        assert_eq!(group.members().collect::<Vec<_>>(), ["ann", "bob"]);
    }
}
