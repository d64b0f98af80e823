//! `/proc/PID/mountinfo`, proc_pid_mountinfo(5). Lines are parsed without being copied, as there may be a
//! million of them.

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount<'a> {
    /// Its id.
    pub id: u64,
    /// The id of the mount that it is on.
    pub parent: u64,
    /// The major and minor number of the file system.
    pub device: &'a str,
    /// The directory of the file system that is mounted.
    pub root: Cow<'a, Path>,
    /// The mount point.
    pub point: Cow<'a, Path>,
    /// The type of the file system.
    pub kind: &'a str,
    tags: &'a str,
    options: &'a str,
}

/// The mounts in a mountinfo, in the order in which they were made. Malformed lines are skipped.
pub fn mounts(text: &str) -> impl Iterator<Item = Mount<'_>> {
    text.lines().filter_map(mount)
}

fn mount(line: &str) -> Option<Mount<'_>> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.splitn(7, ' ');
    let mut next = || fields.next();
    let (id, parent) = (next()?.parse().ok()?, next()?.parse().ok()?);
    let (device, root, point) = (next()?, unescaped(next()?), unescaped(next()?));
    let tags = fields.nth(1).unwrap_or_default();
    let mut after = after.splitn(3, ' ');
    let (kind, options) = (after.next()?, after.nth(1).unwrap_or_default());
    Some(Mount { id, parent, device, root, point, kind, tags, options })
}

impl Mount<'_> {
    /// Whether the mount has a tag such as `shared` or `master`: mount_namespaces(7).
    pub fn has_tag(&self, name: &str) -> bool {
        self.tags.split(' ').any(|tag| tag.split(':').next() == Some(name))
    }

    /// Whether the mount's file system has an option, such as a controller of a cgroup v1 hierarchy.
    pub fn has_option(&self, name: &str) -> bool {
        self.options.split(',').any(|option| option == name)
    }
}

/// Undoes the escaping: characters that would end a field, and the backslash, are written as three octal
/// digits.
fn unescaped(field: &str) -> Cow<'_, Path> {
    if !field.contains('\\') {
        return Cow::Borrowed(Path::new(field));
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code =
            after.get(..3).filter(|_| first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(byte);
            rest = &after[3..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    Cow::Owned(PathBuf::from(OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_fields() {
        let text = "54 50 8:1 /srv/a\\040b /d\\134040\\011\\012 rw shared:1 master:2 - ext4 /dev/vda rw\nno mount\n\
                    55 x 8:1 / / rw - ext4 /dev/vda rw\n56 54 0:30 / /d rw - cgroup2 none rw";
        let all: Vec<Mount<'_>> = mounts(text).collect();
        assert_eq!(
            all.iter().map(|mount| (mount.id, mount.parent)).collect::<Vec<_>>(),
            [(54, 50), (56, 54)]
        );
        let first = &all[0];
        assert_eq!((first.device, first.kind), ("8:1", "ext4"));
        assert_eq!((&*first.root, &*first.point), (Path::new("/srv/a b"), Path::new("/d\\040\t\n")));
        assert!(first.has_tag("shared") && first.has_tag("master") && !all[1].has_tag("shared"));
        assert!(matches!(all[1].point, Cow::Borrowed(_)));
        assert!(first.has_option("rw") && !first.has_option("r") && !first.has_option("ro"));
    }

    #[test]
    fn what_only_looks_like_a_code_stays() {
        for text in ["/a\\", "/a\\04", "/a\\09x", "/\\777", "/ü\\04ü"] {
            assert_eq!(&*unescaped(text), Path::new(text), "{text}");
        }
    }
}
