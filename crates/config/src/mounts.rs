//! Mount options: turns the words of `mounts[].options` into the kernel's flags.
//!
//! OCI runtime specification, "Mounts" and "Linux mount options"; mount(2), `mount_setattr(2)`. The
//! words and their effects are in [`table`]; this module folds a list of them into one value.

pub mod table;

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{self, Spec};
use rootling_sys::mount::{MS_REC, attr};

use self::table::{ATIME_FLAGS, Effect};
use crate::idmap::{IdKind, IdMaps};

/// A mount as [`Container::parse`](crate::container::Container::parse) returns it, which breaks no rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mount {
    /// The mount point, as written.
    pub destination: PathBuf,
    /// What is mounted.
    pub kind: Kind,
    /// The options of the mount.
    pub options: MountOptions,
    /// The id map of the mount, if it is to be id-mapped.
    pub idmap: Option<Idmap>,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The file or directory of the host at this path; a relative path starts at the bundle.
    Bind(PathBuf),
    /// A new file system.
    New {
        /// Its type.
        kind: String,
        /// Its source, as mountinfo shows it.
        source: String,
    },
    /// Nothing new: changes the flags of the existing mount.
    Remount,
    /// The container's cgroup, in the version that the host uses.
    Cgroup,
}

/// The map of a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idmap {
    /// `ridmap`: applies to the mounts below it as well.
    pub recursive: bool,
    /// The maps from ids in the file system to ids of the host; `None` for the container's own maps.
    pub maps: Option<IdMaps>,
}

/// How a bind mount treats the mounts below its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bind {
    /// `bind`: leaves them out.
    Plain,
    /// `rbind`: takes them along.
    Recursive,
}

/// How an id-mapped mount treats the mounts below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdmapKind {
    /// `idmap`: only the mount itself.
    Plain,
    /// `ridmap`: the whole tree (`AT_RECURSIVE`).
    Recursive,
}

/// What the options of one mount ask for. A later option wins over an earlier one that says the
/// opposite; `bind` does not say the opposite of `rbind`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// `MS_*` attributes to set (linux/mount.h). `MS_BIND`, `MS_REC` and `MS_REMOUNT` are not among
    /// them, see `bind` and `remount`.
    pub set: u64,
    /// `MS_*` attributes that were explicitly cleared, such as `MS_RDONLY` for `rw`. Never shares a
    /// bit with `set`.
    pub clear: u64,
    /// `MOUNT_ATTR_*` to set on the whole tree, for `mount_setattr(2)` with `AT_RECURSIVE`.
    pub rec_set: u64,
    /// `MOUNT_ATTR_*` to clear on the whole tree; holds `MOUNT_ATTR__ATIME` whenever an access-time
    /// option was given, as the system call wants it.
    pub rec_clear: u64,
    /// Propagation changes in the order given: `MS_SHARED` and its kin, with `MS_REC` for the
    /// recursive ones. Each takes a mount(2) call of its own.
    pub propagation: Vec<u64>,
    /// What is left for the file system, in the order given; mount(2) takes it joined by commas.
    pub data: Vec<String>,
    /// How this is a bind mount, if it is one.
    pub bind: Option<Bind>,
    /// Whether an existing mount is changed and nothing new is mounted.
    pub remount: bool,
    /// Whether a new tmpfs starts with a copy of what it covers.
    pub tmpcopyup: bool,
    /// How the mount is id-mapped, if it is: with its own maps if it has any, otherwise with the container's.
    pub idmap: Option<IdmapKind>,
    /// Whether the source is not followed if it is a symbolic link.
    pub src_nofollow: bool,
    /// Whether the destination is not followed if it is a symbolic link.
    pub dest_nofollow: bool,
    /// Whether a symbolic link that is the source is itself recreated at the destination.
    pub copy_symlink: bool,
}

/// Why a mount was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// A bind mount with an option that only a filesystem could understand.
    #[error(
        "mount {destination:?}: bind mounts cannot have any filesystem-specific options applied: \
         {option:?} is not a mount flag; remove it"
    )]
    DataOnBind {
        /// Where the mount goes.
        destination: String,
        /// The option.
        option: String,
    },
    /// A NUL byte, which would end the string in the system call.
    #[error("mount {destination:?}: mount field contains null byte: {field}; remove it")]
    Nul {
        /// Where the mount goes.
        destination: String,
        /// `destination`, `source`, `type` or `options`.
        field: &'static str,
    },
    /// No destination is given.
    #[error("mount of {source_path:?}: destination is empty; name a directory or file in the container")]
    NoDestination {
        /// What was to be mounted.
        source_path: String,
    },
    /// A bind mount without a source.
    #[error("mount {destination:?}: a bind mount needs a source; name a file or directory of the host")]
    NoSource {
        /// Where the mount goes.
        destination: String,
    },
    /// A new mount without a type.
    #[error("mount {destination:?}: type: missing; name a file system, or add the option bind or rbind")]
    NoType {
        /// Where the mount goes.
        destination: String,
    },
}

/// Whether an entry of `mounts` is a bind mount: by its type, even without the option, or by an option.
pub fn is_bind(mount: &runtime::Mount) -> bool {
    let is_bind = |word: &String| matches!(table::effect(word), Some(Effect::Bind(_)));
    mount.typ().as_deref() == Some("bind") || mount.options().iter().flatten().any(is_bind)
}

/// The owner that `uid=` or `gid=` sets for a file system. A value that is not a number is left to the file system.
pub fn owner(option: &str) -> Option<(IdKind, u32)> {
    let (name, id) = option.split_once('=')?;
    let kind = [IdKind::User, IdKind::Group].into_iter().find(|kind| kind.name() == name)?;
    Some((kind, id.parse().ok()?))
}

/// Determines what an entry of `mounts` with these options mounts.
///
/// # Errors
/// [`MountError`]: a bind mount with data for a filesystem, an empty destination, a bind without a
/// source, a new mount without a type, a NUL byte anywhere.
pub(crate) fn kind(mount: &runtime::Mount, options: &MountOptions) -> Result<Kind, MountError> {
    check(mount, options)?;
    let source = mount.source().as_deref();
    Ok(match mount.typ().as_deref().unwrap_or_default() {
        _ if options.remount => Kind::Remount,
        _ if options.bind.is_some() => Kind::Bind(source.unwrap_or(Path::new("")).to_owned()),
        "cgroup" | "cgroup2" => Kind::Cgroup,
        "" => {
            return Err(MountError::NoType { destination: mount.destination().display().to_string() });
        }
        kind => {
            let source = source.map_or_else(|| kind.to_owned(), |s| s.to_string_lossy().into_owned());
            Kind::New { kind: kind.to_owned(), source }
        }
    })
}

/// Splits the options of a spec, several of which may be joined by commas, as mount(2) takes them. Code that looks at
/// options then finds each of them by itself.
pub fn separate(spec: &mut Spec) {
    let mounts = spec.mounts_mut().iter_mut().flatten();
    for options in mounts.filter_map(|mount| mount.options_mut().as_mut()) {
        if options.iter().any(|option| option.contains(',')) {
            *options = options.iter().flat_map(|option| words(option)).map(str::to_owned).collect();
        }
    }
}

/// A comma is part of a value if it follows a backslash, as in options of overlay, or is within double quotes, as in
/// SELinux labels.
fn words(joined: &str) -> impl Iterator<Item = &str> {
    let (mut escaped, mut quoted) = (false, false);
    joined.split(move |c: char| {
        let ends = c == ',' && !escaped && !quoted;
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })
}

fn check(mount: &runtime::Mount, options: &MountOptions) -> Result<(), MountError> {
    let destination = || mount.destination().display().to_string();
    let source = mount.source().as_deref().unwrap_or(Path::new(""));
    if mount.destination().as_os_str().is_empty() {
        return Err(MountError::NoDestination { source_path: source.display().to_string() });
    }
    if let Some(field) = nul_field(mount, source, options) {
        return Err(MountError::Nul { destination: destination(), field });
    }
    if options.bind.is_some() {
        if source.as_os_str().is_empty() && !options.remount {
            return Err(MountError::NoSource { destination: destination() });
        }
        // No filesystem will ever see it: silently dropping it would hide a misspelt `nosuid`.
        if let Some(option) = options.data.iter().find(|option| !is_value(option)) {
            return Err(MountError::DataOnBind { destination: destination(), option: option.clone() });
        }
    }
    Ok(())
}

/// Whether an option has a value, which no mount flag has, so it cannot be a misspelt flag. Configurations that are
/// written for several runtimes have `mode=755` on bind mounts.
fn is_value(option: &str) -> bool {
    option.split_once('=').is_some_and(|(name, _)| !name.is_empty())
}

/// The options of a bind mount that have no effect on it.
pub(crate) fn without_effect(mount: &runtime::Mount) -> impl Iterator<Item = &String> {
    let given = mount.options().iter().flatten().filter(|option| is_value(option));
    given.filter(|option| table::effect(option).is_none() && is_bind(mount))
}

fn nul_field(mount: &runtime::Mount, source: &Path, options: &MountOptions) -> Option<&'static str> {
    let nul = |path: &Path| path.as_os_str().as_bytes().contains(&0);
    if nul(mount.destination()) {
        Some("destination")
    } else if nul(source) {
        Some("source")
    } else if mount.typ().as_deref().is_some_and(|typ| typ.contains('\0')) {
        Some("type")
    } else if options.data.iter().any(|word| word.contains('\0')) {
        Some("options")
    } else {
        None
    }
}

/// The propagation of a container's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Propagation {
    /// `MS_SHARED` or another propagation type.
    pub flag: u64,
    /// Whether it applies to the whole tree.
    pub recursive: bool,
}

/// What a word of `rootfsPropagation` means; `None` if it is unknown.
pub(crate) fn propagation(word: &str) -> Option<Propagation> {
    match table::effect(word) {
        Some(Effect::Propagation(flags)) => {
            Some(Propagation { flag: flags & !MS_REC, recursive: flags & MS_REC != 0 })
        }
        _ => None,
    }
}

impl MountOptions {
    /// Parses the options of an entry of `mounts`.
    ///
    /// A mount of type `bind` is a bind even without the option, and one with id maps of its own is
    /// id-mapped even without `idmap`.
    pub fn of(mount: &runtime::Mount) -> Self {
        let mut options = Self::default();
        for word in mount.options().iter().flatten() {
            match table::effect(word) {
                Some(effect) => options.apply(effect),
                None if word.is_empty() => {}
                None => options.data.push(word.clone()),
            }
        }
        if mount.typ().as_deref() == Some("bind") && options.bind.is_none() {
            options.bind = Some(Bind::Plain);
        }
        let maps = [mount.uid_mappings(), mount.gid_mappings()];
        if options.idmap.is_none() && maps.into_iter().flatten().any(|maps| !maps.is_empty()) {
            options.idmap = Some(IdmapKind::Plain);
        }
        options
    }

    /// The owner that is set for a file system; of several, the last one.
    pub(crate) fn owner(&self, kind: IdKind) -> Option<u32> {
        self.data_value(kind.name())?.parse().ok()
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Nothing => {}
            Effect::Set(flag) => self.set_flag(flag),
            Effect::Clear(flag) => {
                self.set &= !flag;
                self.clear |= flag;
            }
            Effect::RecSet(attr) => {
                self.rec_set |= attr;
                self.rec_clear &= !attr;
            }
            Effect::RecClear(attr) => {
                self.rec_set &= !attr;
                self.rec_clear |= attr;
            }
            // The access-time attributes are one number of three bits, not three switches: the whole
            // field is cleared whenever one of its values is asked for.
            Effect::RecAtime(value) => {
                self.rec_set = (self.rec_set & !attr::ATIME) | value;
                self.rec_clear |= attr::ATIME;
            }
            Effect::Propagation(flags) => self.propagation.push(flags),
            // These words are flags of mount(2), and a flag that is set stays set: `rbind,bind` is MS_BIND|MS_REC, as
            // with runc.
            Effect::Bind(Bind::Plain) => _ = self.bind.get_or_insert(Bind::Plain),
            Effect::Bind(Bind::Recursive) => self.bind = Some(Bind::Recursive),
            Effect::Remount => self.remount = true,
            Effect::TmpCopyUp => self.tmpcopyup = true,
            Effect::Idmap(kind) => self.idmap = Some(kind),
            Effect::SrcNofollow => self.src_nofollow = true,
            Effect::DestNofollow => self.dest_nofollow = true,
            Effect::CopySymlink => self.copy_symlink = true,
        }
    }

    fn set_flag(&mut self, flag: u64) {
        // The kernel takes one access-time mode; with two given it would choose by a rule of its own
        // instead of by order.
        if flag & ATIME_FLAGS != 0 {
            self.set &= !ATIME_FLAGS;
        }
        self.set |= flag;
        self.clear &= !flag;
    }

    /// The value of the last `key=value` among the data, such as `mode` or `gid`.
    pub fn data_value(&self, key: &str) -> Option<&str> {
        self.data.iter().rev().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }
}

#[cfg(test)]
mod tests;
