//! What an image has but could not be put into the bundle.

use serde::{Deserialize, Serialize};

/// How much of an image was left out, by kind. Each kind becomes one line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes {
    /// The number of files whose owners could not be set.
    pub owners: u64,
    /// The owner of one of these files, as an example.
    pub owner: Option<(u32, u32)>,
    /// The number of links and special files whose owners could not be stored elsewhere either.
    pub forgotten: u64,
    /// The number of devices.
    pub devices: u64,
    /// The number of extended attributes.
    pub xattrs: u64,
    /// The name of one of these attributes.
    pub xattr: Option<String>,
    /// The number of entries of kinds that no file system has.
    pub others: u64,
}

impl Notes {
    /// A line for each kind, for the user.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.owners > 0 {
            let (uid, gid) = self.owner.unwrap_or_default();
            let forgotten = match self.forgotten {
                0 => String::new(),
                count => format!(", but for {count} links and special files, which cannot have it"),
            };
            lines.push(format!(
                "{} files belong to ids that are not mapped, such as {uid}:{gid}, and are root's in the container; \
                 whose they were is kept in user.rootlesscontainers{forgotten}",
                self.owners
            ));
        }
        if self.devices > 0 {
            lines.push(format!(
                "{} devices are left out: a container gets its devices from config.json, see --device",
                self.devices
            ));
        }
        if self.xattrs > 0 {
            lines.push(format!(
                "{} extended attributes are left out, such as {}: the file system or the kernel does not take them",
                self.xattrs,
                self.xattr.as_deref().unwrap_or_default()
            ));
        }
        if self.others > 0 {
            lines.push(format!("{} entries of unsupported types are left out", self.others));
        }
        lines
    }

    pub(crate) fn lost_owner(&mut self, ids: (u32, u32), kept: bool) {
        self.owners += 1;
        self.owner.get_or_insert(ids);
        self.forgotten += u64::from(!kept);
    }

    pub(crate) fn lost_xattr(&mut self, name: &[u8]) {
        self.xattrs += 1;
        self.xattr.get_or_insert_with(|| String::from_utf8_lossy(name).escape_debug().to_string());
    }
}
