//! The one table of mount options.
//!
//! The words are those of runc 1.5, which follow the specification and mount(8), and three of crun's
//! (`src-nofollow`, `dest-nofollow`, `copy-symlink`).

use rootling_sys::mount::{
    MS_DIRSYNC, MS_I_VERSION, MS_LAZYTIME, MS_MANDLOCK, MS_NOATIME, MS_NODEV, MS_NODIRATIME, MS_NOEXEC,
    MS_NOSUID, MS_NOSYMFOLLOW, MS_PRIVATE, MS_RDONLY, MS_REC, MS_RELATIME, MS_SHARED, MS_SILENT, MS_SLAVE,
    MS_STRICTATIME, MS_SYNCHRONOUS, MS_UNBINDABLE, ST_NODEV, ST_NOEXEC, ST_NOSUID, ST_NOSYMFOLLOW, ST_RDONLY,
    attr,
};

use super::{Bind, IdmapKind};

/// The flags for the access time mode, of which mount(2) takes one.
pub const ATIME_FLAGS: u64 = MS_NOATIME | MS_RELATIME | MS_STRICTATIME;

/// A flag that is on or off, in each of the kernel's interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    /// The option that sets it.
    pub name: &'static str,
    /// The flag of mount(2).
    pub ms: u64,
    /// The flag of `mount_setattr(2)`.
    pub attr: u64,
    /// The flag of statfs(2).
    pub st: u64,
    /// Whether it cannot be cleared in a user namespace if the mount came with it (`mount_namespaces(7)`).
    pub locked: bool,
}

/// All switches. The access time mode is not a switch, but one of three values.
pub const SWITCHES: [Switch; 5] = [
    Switch { name: "ro", ms: MS_RDONLY, attr: attr::RDONLY, st: ST_RDONLY, locked: true },
    Switch { name: "nosuid", ms: MS_NOSUID, attr: attr::NOSUID, st: ST_NOSUID, locked: true },
    Switch { name: "nodev", ms: MS_NODEV, attr: attr::NODEV, st: ST_NODEV, locked: true },
    Switch { name: "noexec", ms: MS_NOEXEC, attr: attr::NOEXEC, st: ST_NOEXEC, locked: true },
    Switch {
        name: "nosymfollow",
        ms: MS_NOSYMFOLLOW,
        attr: attr::NOSYMFOLLOW,
        st: ST_NOSYMFOLLOW,
        locked: false,
    },
];

impl Switch {
    /// Whether an option sets it on the mount itself.
    pub fn is_set_by(&self, word: &str) -> bool {
        effect(word).is_some_and(|effect| effect.sets(self))
    }

    /// Whether an option clears it, on the mount or on its whole tree.
    pub fn is_cleared_by(&self, word: &str) -> bool {
        effect(word).is_some_and(|effect| effect.clears(self))
    }
}

/// Whether an option is about access times.
pub fn is_about_access_times(word: &str) -> bool {
    effect(word).is_some_and(Effect::is_about_access_times)
}

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

impl Effect {
    /// Whether it sets the switch on the mount itself.
    pub fn sets(self, switch: &Switch) -> bool {
        self == Self::Set(switch.ms)
    }

    /// Whether it clears the switch, on the mount or on its whole tree.
    pub fn clears(self, switch: &Switch) -> bool {
        self == Self::Clear(switch.ms) || self == Self::RecClear(switch.attr)
    }

    /// Whether it is about access times.
    pub fn is_about_access_times(self) -> bool {
        match self {
            Self::Set(ms) | Self::Clear(ms) => ms & (ATIME_FLAGS | MS_NODIRATIME) != 0,
            Self::RecSet(flag) | Self::RecClear(flag) => flag == attr::NODIRATIME,
            Self::RecAtime(_) => true,
            _ => false,
        }
    }
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
    ("ratime", Effect::RecAtime(attr::RELATIME)),
    ("rbind", Effect::Bind(Bind::Recursive)),
    ("rdev", Effect::RecClear(attr::NODEV)),
    ("rdiratime", Effect::RecClear(attr::NODIRATIME)),
    ("relatime", Effect::Set(MS_RELATIME)),
    ("remount", Effect::Remount),
    ("rexec", Effect::RecClear(attr::NOEXEC)),
    ("ridmap", Effect::Idmap(IdmapKind::Recursive)),
    ("rnoatime", Effect::RecAtime(attr::NOATIME)),
    ("rnodev", Effect::RecSet(attr::NODEV)),
    ("rnodiratime", Effect::RecSet(attr::NODIRATIME)),
    ("rnoexec", Effect::RecSet(attr::NOEXEC)),
    ("rnorelatime", Effect::RecAtime(attr::RELATIME)),
    ("rnostrictatime", Effect::RecAtime(attr::RELATIME)),
    ("rnosuid", Effect::RecSet(attr::NOSUID)),
    ("rnosymfollow", Effect::RecSet(attr::NOSYMFOLLOW)),
    ("ro", Effect::Set(MS_RDONLY)),
    ("rprivate", Effect::Propagation(MS_PRIVATE | MS_REC)),
    ("rrelatime", Effect::RecAtime(attr::RELATIME)),
    ("rro", Effect::RecSet(attr::RDONLY)),
    ("rrw", Effect::RecClear(attr::RDONLY)),
    ("rshared", Effect::Propagation(MS_SHARED | MS_REC)),
    ("rslave", Effect::Propagation(MS_SLAVE | MS_REC)),
    ("rstrictatime", Effect::RecAtime(attr::STRICTATIME)),
    ("rsuid", Effect::RecClear(attr::NOSUID)),
    ("rsymfollow", Effect::RecClear(attr::NOSYMFOLLOW)),
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
    // Most names are told apart by their lengths alone, where a binary search compares seven of them as text.
    OPTIONS.iter().find(|(name, _)| *name == word).map(|(_, effect)| *effect)
}

/// Every option known, for `rootling features`.
pub fn known() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().map(|(name, _)| *name)
}
