//! The one table of mount options.
//!
//! The words are those of runc 1.5, which follow the specification and mount(8), and three of crun's
//! (`src-nofollow`, `dest-nofollow`, `copy-symlink`).

use super::{Bind, IdmapKind};

/// linux/mount.h: mount read-only.
pub const MS_RDONLY: u64 = 1;
/// linux/mount.h: ignore setuid and setgid bits.
pub const MS_NOSUID: u64 = 1 << 1;
/// linux/mount.h: disallow access to device nodes.
pub const MS_NODEV: u64 = 1 << 2;
/// linux/mount.h: disallow program execution.
pub const MS_NOEXEC: u64 = 1 << 3;
/// linux/mount.h: writes are synced at once.
pub const MS_SYNCHRONOUS: u64 = 1 << 4;
/// linux/mount.h: alter an existing mount.
pub const MS_REMOUNT: u64 = 1 << 5;
/// linux/mount.h: permit mandatory locking.
pub const MS_MANDLOCK: u64 = 1 << 6;
/// linux/mount.h: directory changes are synced at once.
pub const MS_DIRSYNC: u64 = 1 << 7;
/// linux/mount.h: do not follow symbolic links, since Linux 5.10.
pub const MS_NOSYMFOLLOW: u64 = 1 << 8;
/// linux/mount.h: do not update access times.
pub const MS_NOATIME: u64 = 1 << 10;
/// linux/mount.h: do not update access times of directories.
pub const MS_NODIRATIME: u64 = 1 << 11;
/// linux/mount.h: bind.
pub const MS_BIND: u64 = 1 << 12;
/// linux/mount.h: the whole tree.
pub const MS_REC: u64 = 1 << 14;
/// linux/mount.h: suppress messages in the kernel log.
pub const MS_SILENT: u64 = 1 << 15;
/// linux/mount.h: propagation `unbindable`.
pub const MS_UNBINDABLE: u64 = 1 << 17;
/// linux/mount.h: propagation `private`.
pub const MS_PRIVATE: u64 = 1 << 18;
/// linux/mount.h: propagation `slave`.
pub const MS_SLAVE: u64 = 1 << 19;
/// linux/mount.h: propagation `shared`.
pub const MS_SHARED: u64 = 1 << 20;
/// linux/mount.h: update access times relative to modification.
pub const MS_RELATIME: u64 = 1 << 21;
/// linux/mount.h: update the inode's version counter.
pub const MS_I_VERSION: u64 = 1 << 23;
/// linux/mount.h: always update access times.
pub const MS_STRICTATIME: u64 = 1 << 24;
/// linux/mount.h: keep time stamps in memory for a while.
pub const MS_LAZYTIME: u64 = 1 << 25;

/// The flags of which mount(2) takes one: how access times are kept.
pub const ATIME_FLAGS: u64 = MS_NOATIME | MS_RELATIME | MS_STRICTATIME;

/// `mount_setattr(2)`.
pub const MOUNT_ATTR_RDONLY: u64 = 0x1;
/// `mount_setattr(2)`.
pub const MOUNT_ATTR_NOSUID: u64 = 0x2;
/// `mount_setattr(2)`.
pub const MOUNT_ATTR_NODEV: u64 = 0x4;
/// `mount_setattr(2)`.
pub const MOUNT_ATTR_NOEXEC: u64 = 0x8;
/// `mount_setattr(2)`: the field that holds one of the next three.
pub const MOUNT_ATTR_ATIME: u64 = 0x70;
/// `mount_setattr(2)`.
pub const MOUNT_ATTR_RELATIME: u64 = 0;
/// `mount_setattr(2)`.
pub const MOUNT_ATTR_NOATIME: u64 = 0x10;
/// `mount_setattr(2)`.
pub const MOUNT_ATTR_STRICTATIME: u64 = 0x20;
/// `mount_setattr(2)`.
pub const MOUNT_ATTR_NODIRATIME: u64 = 0x80;
/// `mount_setattr(2)`, since Linux 5.14.
pub const MOUNT_ATTR_NOSYMFOLLOW: u64 = 0x20_0000;

/// What one option does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effect {
    /// Nothing: `defaults`.
    Nothing,
    /// Sets an `MS_*` flag.
    Set(u64),
    /// Clears an `MS_*` flag.
    Clear(u64),
    /// Sets a `MOUNT_ATTR_*` on the whole tree.
    RecSet(u64),
    /// Clears a `MOUNT_ATTR_*` on the whole tree.
    RecClear(u64),
    /// Chooses how access times are kept on the whole tree.
    RecAtime(u64),
    /// Changes propagation, `MS_*`.
    Propagation(u64),
    /// Makes this a bind mount.
    Bind(Bind),
    /// Changes an existing mount.
    Remount,
    /// Fills a tmpfs with what it covers.
    TmpCopyUp,
    /// Id-maps the mount.
    Idmap(IdmapKind),
    /// Does not follow a symbolic link at the source.
    SrcNofollow,
    /// Does not follow a symbolic link at the destination.
    DestNofollow,
    /// Copies a symbolic link at the source.
    CopySymlink,
}

/// Every option and what it does, in alphabetical order.
pub const OPTIONS: &[(&str, Effect)] = &[
    ("async", Effect::Clear(MS_SYNCHRONOUS)),
    ("atime", Effect::Clear(MS_NOATIME)),
    ("bind", Effect::Bind(Bind::Plain)),
    ("copy-symlink", Effect::CopySymlink),
    ("defaults", Effect::Nothing),
    ("dest-nofollow", Effect::DestNofollow),
    ("dev", Effect::Clear(MS_NODEV)),
    ("diratime", Effect::Clear(MS_NODIRATIME)),
    ("dirsync", Effect::Set(MS_DIRSYNC)),
    ("exec", Effect::Clear(MS_NOEXEC)),
    ("idmap", Effect::Idmap(IdmapKind::Plain)),
    ("iversion", Effect::Set(MS_I_VERSION)),
    ("lazytime", Effect::Set(MS_LAZYTIME)),
    ("loud", Effect::Clear(MS_SILENT)),
    ("mand", Effect::Set(MS_MANDLOCK)),
    ("noatime", Effect::Set(MS_NOATIME)),
    ("nodev", Effect::Set(MS_NODEV)),
    ("nodiratime", Effect::Set(MS_NODIRATIME)),
    ("noexec", Effect::Set(MS_NOEXEC)),
    ("noiversion", Effect::Clear(MS_I_VERSION)),
    ("nolazytime", Effect::Clear(MS_LAZYTIME)),
    ("nomand", Effect::Clear(MS_MANDLOCK)),
    ("norelatime", Effect::Clear(MS_RELATIME)),
    ("nostrictatime", Effect::Clear(MS_STRICTATIME)),
    ("nosuid", Effect::Set(MS_NOSUID)),
    ("nosymfollow", Effect::Set(MS_NOSYMFOLLOW)),
    ("private", Effect::Propagation(MS_PRIVATE)),
    ("ratime", Effect::RecAtime(MOUNT_ATTR_RELATIME)),
    ("rbind", Effect::Bind(Bind::Recursive)),
    ("rdev", Effect::RecClear(MOUNT_ATTR_NODEV)),
    ("rdiratime", Effect::RecClear(MOUNT_ATTR_NODIRATIME)),
    ("relatime", Effect::Set(MS_RELATIME)),
    ("remount", Effect::Remount),
    ("rexec", Effect::RecClear(MOUNT_ATTR_NOEXEC)),
    ("ridmap", Effect::Idmap(IdmapKind::Recursive)),
    ("rnoatime", Effect::RecAtime(MOUNT_ATTR_NOATIME)),
    ("rnodev", Effect::RecSet(MOUNT_ATTR_NODEV)),
    ("rnodiratime", Effect::RecSet(MOUNT_ATTR_NODIRATIME)),
    ("rnoexec", Effect::RecSet(MOUNT_ATTR_NOEXEC)),
    ("rnorelatime", Effect::RecAtime(MOUNT_ATTR_RELATIME)),
    ("rnostrictatime", Effect::RecAtime(MOUNT_ATTR_RELATIME)),
    ("rnosuid", Effect::RecSet(MOUNT_ATTR_NOSUID)),
    ("rnosymfollow", Effect::RecSet(MOUNT_ATTR_NOSYMFOLLOW)),
    ("ro", Effect::Set(MS_RDONLY)),
    ("rprivate", Effect::Propagation(MS_PRIVATE | MS_REC)),
    ("rrelatime", Effect::RecAtime(MOUNT_ATTR_RELATIME)),
    ("rro", Effect::RecSet(MOUNT_ATTR_RDONLY)),
    ("rrw", Effect::RecClear(MOUNT_ATTR_RDONLY)),
    ("rshared", Effect::Propagation(MS_SHARED | MS_REC)),
    ("rslave", Effect::Propagation(MS_SLAVE | MS_REC)),
    ("rstrictatime", Effect::RecAtime(MOUNT_ATTR_STRICTATIME)),
    ("rsuid", Effect::RecClear(MOUNT_ATTR_NOSUID)),
    ("rsymfollow", Effect::RecClear(MOUNT_ATTR_NOSYMFOLLOW)),
    ("runbindable", Effect::Propagation(MS_UNBINDABLE | MS_REC)),
    ("rw", Effect::Clear(MS_RDONLY)),
    ("shared", Effect::Propagation(MS_SHARED)),
    ("silent", Effect::Set(MS_SILENT)),
    ("slave", Effect::Propagation(MS_SLAVE)),
    ("src-nofollow", Effect::SrcNofollow),
    ("strictatime", Effect::Set(MS_STRICTATIME)),
    ("suid", Effect::Clear(MS_NOSUID)),
    ("symfollow", Effect::Clear(MS_NOSYMFOLLOW)),
    ("sync", Effect::Set(MS_SYNCHRONOUS)),
    ("tmpcopyup", Effect::TmpCopyUp),
    ("unbindable", Effect::Propagation(MS_UNBINDABLE)),
];

/// What `word` does, or `None` when it is data for a filesystem.
pub fn effect(word: &str) -> Option<Effect> {
    let index = OPTIONS.binary_search_by_key(&word, |(name, _)| name).ok()?;
    Some(OPTIONS[index].1)
}

/// Every option known, for `rootling features`.
pub fn known() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().map(|(name, _)| *name)
}
