//! Sets owners, modes, extended attributes and times of what was made.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{FchmodatFlags, Mode, UtimensatFlags, fchmodat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat, getegid, geteuid};
use rootling_sys as sys;

use super::notes::Notes;
use super::place::{Times, os};
use crate::error::{Result, Said, shown};
use crate::tar::{Entry, Kind, Time};

/// The attribute in which rootless programs store an owner that cannot be set: rootlesscontainers.proto of the
/// Rootless Containers project.
const LOST_OWNER: &[u8] = b"user.rootlesscontainers";

/// The user and group who make the files.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    uid: u32,
    gid: u32,
}

impl Owner {
    /// The caller.
    pub(crate) fn current() -> Self {
        Self { uid: geteuid().as_raw(), gid: getegid().as_raw() }
    }
}

/// The state of a file before its attributes are set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Was {
    /// It existed before the entry, with an owner and attributes of its own.
    pub(crate) there: bool,
    /// It is in a directory that passes its group on to what is made in it.
    pub(crate) gives_group: bool,
}

/// Sets all attributes of the file with this name in an open directory. The name was made just now, and is a link
/// only if the entry is one.
pub(crate) fn set(
    dir: BorrowedFd<'_>,
    name: &[u8],
    entry: &Entry,
    me: Owner,
    was: Was,
    notes: &mut Notes,
) -> Result<()> {
    let is_mine = !was.there && !was.gives_group && (entry.uid, entry.gid) == (me.uid, me.gid);
    let lost = if is_mine { None } else { set_owner(dir, name, entry, me)? };
    if entry.kind != Kind::SymbolicLink {
        // After the owner, since changing that clears the set-user-id bits.
        let mode = Mode::from_bits_truncate(entry.mode);
        fchmodat(Some(dir.as_raw_fd()), os(name), mode, FchmodatFlags::FollowSymlink)
            .said(|| format!("chmod {}", shown(name)))?;
    }
    set_xattrs(dir, name, entry, was.there, notes)?;
    if let Some(lost) = lost {
        let kept = set_xattr(dir, name, LOST_OWNER, &lost.encoded()).is_ok();
        notes.lost_owner((entry.uid, entry.gid), kept);
    }
    set_times(dir, name, times(entry))
}

/// The ids of an owner that cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lost {
    uid: Option<u32>,
    gid: Option<u32>,
}

/// Sets the owner as far as possible; returns the ids that could not be set.
fn set_owner(dir: BorrowedFd<'_>, name: &[u8], entry: &Entry, me: Owner) -> Result<Option<Lost>> {
    let (uid, gid) = (entry.uid, entry.gid);
    let tries = [
        (uid, gid, Lost { uid: None, gid: None }),
        (uid, me.gid, Lost { uid: None, gid: Some(gid) }),
        (me.uid, gid, Lost { uid: Some(uid), gid: None }),
        (me.uid, me.gid, Lost { uid: Some(uid), gid: Some(gid) }),
    ];
    for (uid, gid, lost) in tries {
        let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        match fchownat(Some(dir.as_raw_fd()), os(name), owner.0, owner.1, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(()) => return Ok(Some(lost).filter(|lost| lost.uid.or(lost.gid).is_some())),
            // The id is not mapped in this user namespace; chown(2), user_namespaces(7).
            Err(Errno::EINVAL | Errno::EPERM) => {}
            Err(errno) => return Err(errno).said(|| format!("chown {}", shown(name))),
        }
    }
    Ok(Some(Lost { uid: Some(uid), gid: Some(gid) }))
}

impl Lost {
    /// Encodes `message Resource { uint32 uid = 1; uint32 gid = 2; }`, in which 0 is omitted, and the largest
    /// number says that the file has the right id.
    fn encoded(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (tag, id) in [(0x08, self.uid), (0x10, self.gid)] {
            let mut id = id.unwrap_or(u32::MAX);
            if id == 0 {
                continue;
            }
            bytes.push(tag);
            while id >= 0x80 {
                bytes.push(id as u8 | 0x80);
                id >>= 7;
            }
            bytes.push(id as u8);
        }
        bytes
    }
}

fn set_xattrs(dir: BorrowedFd<'_>, name: &[u8], entry: &Entry, had: bool, notes: &mut Notes) -> Result<()> {
    if had {
        remove_xattrs(dir, name, notes);
    }
    for (key, value) in &entry.xattrs {
        if is_of_the_host(key) {
            continue;
        }
        let value = if key == b"security.capability" { without_root(value) } else { value.clone() };
        let refused = is_of_overlay(key)
            || key.contains(&0)
            || match set_xattr(dir, name, key, &value) {
                Ok(()) => false,
                Err(
                    Errno::EPERM
                    | Errno::EOPNOTSUPP
                    | Errno::EINVAL
                    | Errno::ENOSPC
                    | Errno::ERANGE
                    | Errno::E2BIG
                    | Errno::EACCES,
                ) => true,
                Err(errno) => {
                    return Err(errno).said(|| format!("setxattr {} of {}", shown(key), shown(name)));
                }
            };
        if refused {
            notes.lost_xattr(key);
        }
    }
    Ok(())
}

/// Whether it is a label of the machine that the image was made on, which means nothing on another one.
fn is_of_the_host(key: &[u8]) -> bool {
    matches!(
        key,
        b"security.selinux" | b"security.ima" | b"security.evm" | b"security.SMACK64" | b"system.nfs4_acl"
    )
}

/// Whether overlayfs would act on the attribute if the tree became one of its layers.
fn is_of_overlay(key: &[u8]) -> bool {
    key.starts_with(b"trusted.overlay.") || key.starts_with(b"user.overlay.")
}

/// Removes from file capabilities the user namespace that they are for: the kernel adds that of the process which
/// sets them; capabilities(7), "File capability versioning".
fn without_root(value: &[u8]) -> Vec<u8> {
    const REVISION_2: u8 = 2;
    const REVISION_3: u8 = 3;
    if value.len() != 24 || value[3] != REVISION_3 {
        return value.to_vec();
    }
    let mut value = value[..20].to_vec();
    value[3] = REVISION_2;
    value
}

/// A path to a name in an open directory, for calls that take no descriptor and do not follow a link at the end.
fn way_to(dir: BorrowedFd<'_>, name: &[u8]) -> CString {
    let path = [format!("/proc/self/fd/{}/", dir.as_raw_fd()).as_bytes(), name].concat();
    // A name from an archive contains no NUL byte, see `components`.
    CString::new(path).unwrap_or_default()
}

fn set_xattr(dir: BorrowedFd<'_>, name: &[u8], key: &[u8], value: &[u8]) -> Result<(), Errno> {
    let key = CString::new(key).map_err(|_| Errno::EINVAL)?;
    sys::file::set_attribute(&way_to(dir, name), &key, value)
}

fn remove_xattrs(dir: BorrowedFd<'_>, name: &[u8], notes: &mut Notes) {
    let path = way_to(dir, name);
    let Ok(keys) = sys::file::attributes(&path) else { return };
    for key in keys.iter().filter(|key| !is_of_the_host(key.to_bytes())) {
        if sys::file::remove_attribute(&path, key).is_err() {
            notes.lost_xattr(key.to_bytes());
        }
    }
}

pub(crate) fn times(entry: &Entry) -> Times {
    let of = |time: Time| TimeSpec::new(time.seconds, i64::from(time.nanoseconds));
    Times { access: of(entry.atime.unwrap_or(entry.mtime)), modification: of(entry.mtime) }
}

fn set_times(dir: BorrowedFd<'_>, name: &[u8], times: Times) -> Result<()> {
    let Times { access, modification } = times;
    utimensat(Some(dir.as_raw_fd()), os(name), &access, &modification, UtimensatFlags::NoFollowSymlink)
        .said(|| format!("utimensat {}", shown(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_owners_are_written_as_other_rootless_programs_do() {
        let lost = |uid, gid| Lost { uid, gid }.encoded();
        assert_eq!(lost(Some(33), Some(300)), [0x08, 33, 0x10, 0xac, 0x02]);
        assert_eq!(lost(None, Some(42)), [0x08, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x10, 42]);
        assert!(lost(Some(0), Some(0)).is_empty());
    }

    #[test]
    fn capabilities_are_for_whoever_unpacks() {
        let mut of_namespace = vec![1, 0, 0, 3];
        of_namespace.extend([0; 16]);
        of_namespace.extend(1000u32.to_le_bytes());
        assert_eq!(without_root(&of_namespace)[..4], [1, 0, 0, 2]);
        assert_eq!(without_root(&of_namespace).len(), 20);
        let plain = vec![1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(without_root(&plain), plain);
    }
}
